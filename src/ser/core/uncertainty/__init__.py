"""How sure a model may be. Pure."""
