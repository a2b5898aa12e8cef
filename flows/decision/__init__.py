"""Decisions: what may be offered to whom, which of it is best, and what came of it."""
