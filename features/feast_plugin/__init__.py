"""Feast over our rows. Empty on purpose: each Feast process imports the modules it names."""
