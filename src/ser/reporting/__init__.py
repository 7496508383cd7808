"""Pictures of data and scores."""
