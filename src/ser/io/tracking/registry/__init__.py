"""The model registry: versions and their files, who serves, and the journal of every verdict."""
