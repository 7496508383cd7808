"""`ser doctor`: what in machine, environment or project stops the work, and the remedy."""
