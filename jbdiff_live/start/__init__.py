"""How a run begins: whether there is a screen, and playing without one."""
