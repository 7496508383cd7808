"""Whether the challenger replaces the champion: a comparison, and rules with limits. Pure."""
