"""Time and effects: when the pipeline runs, and what becomes of its models."""
