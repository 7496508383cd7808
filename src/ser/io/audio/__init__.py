"""Recordings in: containers, decoders, one channel at one rate."""
