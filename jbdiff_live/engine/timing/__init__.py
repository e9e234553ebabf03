"""When a block is started, how much work it gets, and how long a knob takes to be heard."""
