"""What waits in data/inbox, and how it comes in."""
