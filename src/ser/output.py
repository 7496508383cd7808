"""Text that any terminal can print."""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from math import floor

#: Control characters, lone surrogates (bytes that are no UTF-8), line and paragraph separators.
UNFIT = ("Cc", "Cs", "Zl", "Zp")
#: Format characters that Persian and Indic spelling needs inside a word.
JOINERS = "\u200c\u200d"
#: Exit statuses of all commands: some file failed, nothing could be done, stopped by Ctrl-C.
SOME_FAILED, USER_ERROR, INTERRUPTED = 1, 2, 130


def escape_unencodable() -> None:
    """Make stdout and stderr escape what their encoding lacks instead of failing.

    One that was closed (`>&-`) swallows what is written to it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def end_silently() -> None:
    """Print nothing more: who read stdout has left, and libraries may still warn as Python ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    sys.stderr = os.fdopen(nothing, "w", encoding="utf-8")
    os.dup2(nothing, sys.stdout.fileno())


def print_error(error: object) -> None:
    """The one line on stderr with which a command, or a file of it, fails."""
    print(f"error: {one_line(str(error))}", file=sys.stderr)


def count_of(n: int, noun: str) -> str:
    """
    >>> count_of(1, "speaker"), count_of(2, "speaker")
    ('1 speaker', '2 speakers')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def clock(seconds: float, *, digits: int = 0) -> str:
    """A time, half up to the last of its digits behind the point; as `clock` of the pages' dom.js.

    >>> clock(61.25), clock(48.5), clock(3_600), clock(2.95, digits=1), clock(59.97, digits=1)
    ('1:01', '0:49', '1:00:00', '0:03.0', '1:00.0')
    """
    # 2.95 is a little less than itself.
    units = floor(seconds * 10**digits + 0.5 + 1e-6)
    rest, part = divmod(units, 10**digits)
    minutes, rest = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{head}:{rest:02}" + (f".{part:0{digits}}" if digits else "")


def shortened(text: str, most: int) -> str:
    """The text in at most so many cells: cut in the middle, since ends tell names apart.

    >>> shortened("interview of the first week, part 12.wav", 22)
    'interview o…art 12.wav'
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{set_cell_size(text, most - 1 - end)}…{set_cell_size(text[::-1], end)[::-1]}"


def one_line(text: str) -> str:
    """`printable` text without line breaks, which a file's name may hold.

    >>> one_line("anna\\nb")
    'anna\\\\nb'
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def printable(text: str) -> str:
    """The text with control characters, and what cannot be encoded, escaped.

    >>> printable("anna\\x1b[2J")
    'anna\\\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    # Bidirectional controls reverse a line; joiners belong to words.
    return "".join(
        c
        if c in "\n\t" + JOINERS or unicodedata.category(c) not in (*UNFIT, "Cf")
        else c.encode("unicode_escape").decode()
        for c in text
    )
