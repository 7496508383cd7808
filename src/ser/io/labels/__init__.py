"""Labelled parts of recordings in the formats of other programs: Praat, Audacity, RTTM, CSV."""
