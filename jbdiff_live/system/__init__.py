"""What the operating system is asked for: priorities of threads, the signals that end a program, JACK's messages."""
