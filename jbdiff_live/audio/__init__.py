"""The sound device: the only folder that imports sounddevice and rtmixer, and does so inside functions.

Threads: a feeder thread per sink takes frames from the engine's ring, applies what is heard `now` and fills the
short ring that a callback in C plays; a watcher thread lives while a device is lost. Whatever may hang in a sound
server runs on a thread of its own (`portaudio.patiently`).
"""
