"""What a command does that is not its subject: the order of its steps, progress, output folders, terminal tables."""
