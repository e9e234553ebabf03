"""The player's takes after they are closed: list, marks, names, trim, export. Each file names its thread."""
