"""The time at which a block starts, the amount of its work, and the delay of a knob."""
