"""Recording: takes on disk, written by a thread of their own, and read back."""
