"""The beat: tempo, bar and beat now, changes that wait for the next bar, and MIDI clock out.

Shared by all threads. Nothing here starts a thread or opens a MIDI or sound device; time comes in as an argument. One
exception: `link.py` joins an Ableton Link session, whose library has threads of its own.
"""
