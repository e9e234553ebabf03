"""Music block by block: levels, windows, memory, anchor, finisher, and the state that can be saved."""
