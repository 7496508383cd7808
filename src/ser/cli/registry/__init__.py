"""What serves, why, and what it was made of."""
