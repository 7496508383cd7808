"""Speech encoders of the Hugging Face hub, and models that hear by them (extra `pretrained`)."""
