"""Models that map features to emotion posteriors, behind one interface."""
