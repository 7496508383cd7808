"""Neural networks on log-mels, trained with Lightning."""
