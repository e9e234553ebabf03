"""Render a take again: bit for bit, or better, or with an edited log. `render.replay` is the function, `command.py` the
command line `jbdiff-live replay TAKE`.
"""
