"""The parameter as a kind of thing, and tables of parameters for `jbdiff_live.parameters`."""
