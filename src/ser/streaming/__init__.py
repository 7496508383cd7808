"""Live audio to events: samples in, utterances and their emotions out. No clock, no I/O."""
