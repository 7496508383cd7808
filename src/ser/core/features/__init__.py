"""Descriptors of a waveform, frame by frame and summed up. Pure."""
