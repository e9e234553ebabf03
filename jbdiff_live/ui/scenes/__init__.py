"""The strip of scenes: pads, the knobs of a morph, and the buttons of undo. Thread: Qt's."""
