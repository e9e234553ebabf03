"""Requests to the operating system: priorities of threads, signals that end the program, JACK's library."""
