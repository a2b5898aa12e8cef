"""Dataflows: from events to rows, decisions and models."""
