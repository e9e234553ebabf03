"""The sound device: the only folder that imports sounddevice and rtmixer, and does so inside functions.

Threads: each sink has a feeder thread. It takes frames from the engine's ring, applies the `now` knobs, and fills the
short ring that a callback in C plays. A watcher thread lives while a device is lost. A call that may hang in a sound
server runs on a thread of its own (`portaudio.patiently`).
"""
