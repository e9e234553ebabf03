"""Scenes: sets of values inside a patch, and the way from one to another. Pure: no thread, no clock, no store."""
