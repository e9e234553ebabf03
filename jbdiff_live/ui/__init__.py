"""The window. Qt's thread only; talks to the session through the `Transport` protocol and nothing else."""
