"""Whether recordings that are answered differ from those that the model was trained on. Pure."""
