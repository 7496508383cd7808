"""How networks are computed without a framework. Pure."""
