"""Listening to takes while the music is stopped: what plays next, and where the sound is."""
