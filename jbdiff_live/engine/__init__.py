"""The engine thread: it decides when to make the next block, makes it, and reports the result."""
