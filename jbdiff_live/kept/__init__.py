"""The session that is kept from one start to the next: its content, its file, and the thread that saves it."""
