"""The generation thread: decides when the next block is made, makes it, and says honestly how that went."""
