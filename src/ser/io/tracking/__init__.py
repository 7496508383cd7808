"""MLflow: its store, runs, versions and their lineage."""
