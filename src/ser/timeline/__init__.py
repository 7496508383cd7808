"""Recordings of any length to timelines: blocks in, turns and their change out. No I/O."""
