"""Train every part of a stack."""
