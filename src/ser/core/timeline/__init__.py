"""Posteriors over time: smoothed, and made one steady label. Pure."""
