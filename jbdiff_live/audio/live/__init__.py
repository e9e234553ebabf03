"""The live input behind its device: level, gate, memory, dry sound, feedback and delay."""
