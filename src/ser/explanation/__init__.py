"""Why a model answers as it does: attributions, and changes of a voice that change the answer."""
