"""Measures of the sound, and their sends: control voltages and MIDI for a rack."""
