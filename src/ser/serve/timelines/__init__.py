"""Timelines of long recordings: read by a process of their own, measured by all that predict."""
