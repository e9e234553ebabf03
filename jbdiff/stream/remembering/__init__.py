"""What a level remembers of its own music: the last 64 s, and the theme that it began with."""
