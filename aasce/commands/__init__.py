"""What the commands do; `aasce.cli` only reads their arguments and prints their answers."""
