"""Speakers known by clips of theirs. Pure."""
