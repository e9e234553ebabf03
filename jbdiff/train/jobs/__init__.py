"""One module for each training command: reads its folders, builds its network, starts the run."""
