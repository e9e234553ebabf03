"""MIDI inputs and outputs: the system's clients and ports, and extra parts for JACK."""
