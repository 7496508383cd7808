"""Models good, bad, equal and damaged on their way through the platform."""
