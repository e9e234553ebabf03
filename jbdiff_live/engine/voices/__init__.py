"""Stacks as voices: find them, load them during the music, begin, play, and crossfade them."""
