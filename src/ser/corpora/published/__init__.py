"""Corpora as their publishers lay them out."""
