"""Processes that decode and predict, beside the one that speaks HTTP."""
