"""Find, check, convert, download and load stacks: the weights of all levels together."""
