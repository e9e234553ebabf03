"""The rows of the window above and below its picture and its knobs."""
