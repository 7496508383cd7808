"""How a model bears changed recordings: made by the pure changes of the core, and real codecs."""
