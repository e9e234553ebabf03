"""jbdiff: Jukebox Diffusion as a library. Sampling block by block and offline, training, checkpoints."""

__version__ = "0.1.0"
