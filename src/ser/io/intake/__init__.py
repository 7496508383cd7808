"""Corpora into data/raw, and the proof that they are still what came in."""
