"""Colours, widgets that draw themselves, and the picture of the sound."""
