"""Render a piece to files, block by block, and go on after an interruption."""
