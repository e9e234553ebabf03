"""Measure how fast parts and whole blocks run, and check that faster paths give the same numbers."""
