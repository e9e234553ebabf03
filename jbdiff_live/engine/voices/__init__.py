"""Stacks as voices: found, loaded beside the music, begun, played, and faded one into another."""
