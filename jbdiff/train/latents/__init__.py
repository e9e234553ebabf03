"""Encode sounds once and keep their latents; find tempo and bars."""
