"""The desks: each keeps one subject of the session: the patch, the stack, the sound files, the answers.

A desk has no thread and knows no thread's folder. It gets what it needs as functions and protocols.
"""
