"""Versions of the training data. Pure."""
