"""Names that people write, and when two spellings are one name. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from ser.output import JOINERS, UNFIT
from ser.project import RAW

#: Invisible marks and fillers besides the format characters (category Cf).
_BLANK = {
    *"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",
    *map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10))),
}
_SEPARATORS = r"[\s_.\-\u2010-\u2015]+"
#: Differences between spellings of a lower-case name, and their replacements, in this order.
_ALIKE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Only some keyboards type them.
        (f"[{JOINERS}]", ""),
        # Turkish letters: the capitals of i and \u0131 are \u0130 and I, which elsewhere is i's.
        ("i\u0307|\u0131", "i"),
        # Apostrophes, straight or typographic.
        ("['`\u00b4\u02bc\u2018\u2019\u2032]", ""),
        # pandas saves whole numbers as 1.0 where one is missing.
        (r"^(-?\d+)\.0$", r"\1"),
        # Separators; two numbers stay two: 1.5 is not 15.
        (rf"(?<!\d){_SEPARATORS}|{_SEPARATORS}(?!\d)", ""),
        (_SEPARATORS, "-"),
        # Leading zeros.
        (r"(?<!\d)0+(?=\d)", ""),
    )
]


def clean(text: str) -> str:
    """The name as it looks: composed (NFC), single spaces only inside, nothing invisible.

    >>> clean("  Jose\\u0301\\u00a0 M.\\u200b ")
    'José M.'
    """
    visible = "".join(c for c in unicodedata.normalize("NFC", text) if not _is_invisible(c))
    visible = " ".join(visible.split()).strip(JOINERS + " ")
    return unicodedata.normalize("NFC", visible)


@lru_cache(maxsize=2**16)
def spelling_key(text: str) -> str:
    """A key that all spellings of one name have.

    Unicode form, width, capitals and what _ALIKE lists make no difference: white space, `_`, `-`,
    `.`, apostrophes, a number's leading zeros. A separator between two digits does (`1-1` is not
    `11`). Coarse on purpose: the user is asked about two speakers with one key.

    >>> spelling_key("Spk_01") == spelling_key(" spk 1") != spelling_key("spk 11")
    True
    """
    text = unicodedata.normalize("NFKC", clean(text)).casefold()
    key = text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    for alike, replacement in _ALIKE:
        key = alike.sub(replacement, key)
    # A name of separators alone is not the empty one.
    return key or text


def doubtful(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names with one `spelling_key`: one person or two."""
    first: dict[str, str] = {}
    return [
        (first[key], name)
        for name in sorted(set(names))
        if first.setdefault(key := spelling_key(name), name) != name
    ]


def pair(a: str, b: str) -> str:
    """Two spellings, written so that the difference is visible."""
    alike = unicodedata.normalize("NFKC", clean(a)) == unicodedata.normalize("NFKC", clean(b))
    return f"{a!a} and {b!a}" if alike else f"{a!r} and {b!r}"


def is_fit(name: str) -> bool:
    """False for a name with control characters or bytes that are no UTF-8."""
    return not any(unicodedata.category(c) in UNFIT for c in name)


def _is_invisible(c: str) -> bool:
    return c in _BLANK or (c not in JOINERS and unicodedata.category(c) == "Cf")


def excluding(files: Iterable[str]) -> str:
    """The line below `data` of params.yaml that leaves recordings out, in backquotes.

    >>> excluding(["data/raw/calls/a 1.wav"])
    '`exclude: ["calls/a 1.wav"]`'
    """
    paths = [file.removeprefix(f"{RAW.as_posix()}/") for file in files]
    return f"`exclude: {json.dumps(paths, ensure_ascii=False)}`"
