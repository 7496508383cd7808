"""The report of a run: its files and what MLflow knows of it, gathered into page and card."""
