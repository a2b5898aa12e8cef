"""The HTTP service: events in, features out, over JSON."""
