"""A look at what is answered: drift in the traffic log, and labels that came late."""
