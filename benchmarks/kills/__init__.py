"""SIGKILL at points of a retraining: what is left, and what the next run makes of it."""
