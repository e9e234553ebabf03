"""Judges a stack by what it plays, never by its loss: `jbdiff evaluate`, explained in docs/evaluation.md."""
