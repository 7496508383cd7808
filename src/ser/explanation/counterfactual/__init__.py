"""Changes of a recording that turn the answer, and how they sound."""
