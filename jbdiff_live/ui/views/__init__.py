"""The views of the window: the stage, the workshop, the settings, and what they share."""
