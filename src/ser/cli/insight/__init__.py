"""Commands that show what a model does, and why."""
