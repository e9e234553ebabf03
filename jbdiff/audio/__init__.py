"""Sound files, crossfades and pictures of sound. No torch modules, no model."""
