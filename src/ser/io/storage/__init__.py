"""Tables and shards on disk."""
