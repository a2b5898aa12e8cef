"""A year of real shopping as a stream: what `nextbest demo` runs."""
