"""Train on another machine in short slices: pack code and data, run, bring the weights back."""
