"""Machine code for the learners."""
