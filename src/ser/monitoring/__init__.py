"""What models answered, and on what input: figures alone, no audio."""
