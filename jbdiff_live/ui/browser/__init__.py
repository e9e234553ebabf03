"""The browser of patches and sounds."""
