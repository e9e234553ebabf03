"""Noise, noise schedules and samplers. They know no network."""
