"""The MIDI messages that controllers and a rack are sent: values, lights, and what the sound does."""
