"""Which recordings have the published bytes: a mark of each, four bytes long."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import PurePath

#: Bytes of a mark. That another recording has one of 10,000 marks by chance: 2 in a million.
WIDTH = 4


def published_mark(file: str, sha256: str) -> bytes:
    """The mark of a recording of that name, in any folder, and those bytes."""
    return hashlib.sha256(f"{sha256}  {PurePath(file).name}".encode()).digest()[:WIDTH]


@cache
def published_marks(corpus: str) -> frozenset[bytes] | None:
    """The marks of all recordings as published; None where they are not known.

    `CORPUS.bin` holds the sorted marks of the (name, SHA-256) pairs that the digest in
    the corpus's adapter is of.
    """
    path = resources.files("ser.corpora.published") / f"{corpus}.bin"
    if not path.is_file():
        return None
    content = path.read_bytes()
    return frozenset(content[at : at + WIDTH] for at in range(0, len(content), WIDTH))
