"""What waits in data/inbox: recordings for the next retraining, and listeners' corrections."""
