"""Speech emotion recognition: recordings in, a trusted, traceable, promoted model out."""

__version__ = "0.1.0"
