"""What the sound does as numbers, and where these numbers are sent: control voltages and MIDI for a rack."""
