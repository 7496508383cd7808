"""A corpus looked over: what is measured of its utterances, and which of them stand for it."""
