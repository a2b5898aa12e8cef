"""A world whose law is known, and what policies make of it: regret against an oracle."""
