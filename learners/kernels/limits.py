"""The bound of every number that is learned from."""

LARGEST = 1e100
"""The largest magnitude of a number; beyond it, squares would overflow."""
