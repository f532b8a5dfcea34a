"""Training targets: landmarks encoded as fields, masks and curves, and decoded again."""
