"""The history of a run: what it says of each operation, written and read."""
