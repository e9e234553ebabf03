"""The ways of the first implementation, for its results: levels nested, one finisher pass each."""
