"""Losses and training steps, one module for each network."""
