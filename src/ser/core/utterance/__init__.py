"""What an utterance is: its samples, its labels, its row in a table. Pure."""
