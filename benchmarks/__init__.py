"""What measures speed, scale and integrity. Each module is a command; its `--help` says what."""
