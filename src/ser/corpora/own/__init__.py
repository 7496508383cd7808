"""A user's own recordings and labels."""
