"""jbdiff-live: the instrument. One folder per thread; the files here are all that threads share."""

__version__ = "0.1.0"
