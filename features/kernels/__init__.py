"""Machine code for the rows of a shard: compiled once, interpreting any declaration."""
