"""What a process prints reaches any terminal."""

from __future__ import annotations

import io
import sys


def escape_unencodable() -> None:
    """Print what stdout's or stderr's encoding lacks as an escape: it is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
