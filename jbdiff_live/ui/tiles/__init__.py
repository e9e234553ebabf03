"""Knobs, switches and pads, and the panel that holds them."""
