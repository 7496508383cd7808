"""Intensity of an emotion, which corpora grade by words, codes or numbers."""

from __future__ import annotations

import math
import re

#: Where a corpus graded none.
UNSPECIFIED = "unspecified"
#: Words and codes from the weakest grade to the strongest.
GRADES = (
    ("very low", "very weak", "minimal", "minimum", "subtle"),
    ("low", "lo", "weak", "mild", "slight", "soft"),
    ("normal", "medium", "md", "mid", "moderate", "middle"),
    ("high", "hi", "strong", "intense"),
    ("very high", "very strong", "very intense", "extreme", "maximal", "maximum"),
)
RANKS = {word: rank for rank, words in enumerate(GRADES, start=1) for word in words}


def grade(intensity: str) -> float:
    """A number that grows with the intensity; NaN for none (`unspecified`, `XX`).

    >>> [grade(code) for code in ("LO", "MD", "HI", "XX")]
    [2.0, 3.0, 4.0, nan]
    >>> grade("level 10") > grade("level 9")
    True
    """
    words = " ".join(re.split(r"[\s_-]+", intensity.strip().casefold()))
    if words in RANKS:
        return float(RANKS[words])
    number = re.search(r"\d+(\.\d+)?", words)
    return float(number[0]) if number else math.nan
