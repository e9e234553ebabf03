"""The way back in time: what was played, with the states that make it again."""
