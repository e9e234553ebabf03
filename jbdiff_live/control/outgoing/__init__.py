"""MIDI messages to controllers and to a rack: values, lights, and measures of the sound."""
