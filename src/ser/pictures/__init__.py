"""Pictures of corpora and folders of recordings: what `ser plot` makes."""
