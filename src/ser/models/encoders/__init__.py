"""Speech encoders of the Hugging Face hub, and models on them (extra `pretrained`)."""
