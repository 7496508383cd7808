"""Live audio: where utterances begin and end, and features of what has come so far. Pure."""
