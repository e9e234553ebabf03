"""MIDI inputs: the system's clients and ports, and what JACK needs besides."""
