"""Controllers: MIDI, OSC and CV sources, and the bindings that turn their events into parameter changes."""
