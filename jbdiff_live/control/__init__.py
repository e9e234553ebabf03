"""What a player turns: MIDI sources, and the bindings that turn their events into parameter changes."""
