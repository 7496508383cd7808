"""One module per DVC stage: read declared inputs, call the pure core, write declared outputs."""
