"""Many pieces and takes from one list: `jbdiff render`, on the cores or GPUs of one machine, or on a Ray cluster."""
