"""Plain-Python twins: slow, obviously right, and free of the code that they check."""
