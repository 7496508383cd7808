"""The files that a table names, and the recordings that are there."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath, PurePosixPath

from ser.core.utterance.formats import AUDIO_SUFFIXES, OTHER_SUFFIXES
from ser.core.utterance.names import clean


def match_files(listed: Iterable[str], files: Sequence[PurePath]) -> dict[str, str]:
    """File as the table has it -> path of the recording, where only one can be meant.

    Compared in turn: the same path, in another Unicode form, in other capitals, with another
    suffix or none; then the one path that ends in it, or that it ends in, as an absolute path
    may. Files of the same name in other folders are no match.
    """
    here = [file.as_posix() for file in files]
    matched: dict[str, str] = {}
    missing = list(dict.fromkeys(listed))
    for key in (str, clean, _folded, _bare):
        if not missing:
            return matched
        known = _unique(here, key)
        keys = {text: key(_posix(text)) for text in missing}
        matched |= {text: known[keys[text]] for text in missing if keys[text] in known}
        missing = [text for text in missing if text not in matched]
    return matched | _by_tail(missing, here)


def _by_tail(missing: Sequence[str], here: Iterable[str]) -> dict[str, str]:
    by_stem = defaultdict(list)
    for file in here:
        by_stem[PurePosixPath(_bare(file)).name].append(file)
    matched = {}
    for text in missing:
        # A match is one of `here`, so an absolute path leads nowhere else.
        parts = PurePosixPath(_bare(_posix(text)).lstrip("/")).parts
        if not parts or ".." in parts:
            continue
        tails = [file for file in by_stem[parts[-1]] if _one_ends_in_the_other(parts, file)]
        if len(tails) == 1:
            matched[text] = tails[0]
    return matched


def _one_ends_in_the_other(parts: Sequence[str], file: str) -> bool:
    there = PurePosixPath(_bare(file)).parts
    shared = min(len(parts), len(there))
    return tuple(parts[-shared:]) == there[-shared:]


def _unique(here: Iterable[str], key: Callable[[str], str]) -> Mapping[str, str]:
    """Key -> path, for keys of one path alone."""
    found: dict[str, str | None] = {}
    for file in here:
        found[key(file)] = None if key(file) in found else file
    return {name: file for name, file in found.items() if file is not None}


def _posix(text: str) -> str:
    """As paths are here: `.\\a\\b.wav` is `a/b.wav`."""
    return PurePosixPath(text.strip().replace("\\", "/")).as_posix()


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", clean(path)).casefold())


def _bare(path: str) -> str:
    """Folded, without the suffix of a recording: `rec.01` has none."""
    folded = PurePosixPath(_folded(path))
    is_format = folded.suffix in AUDIO_SUFFIXES or folded.suffix in OTHER_SUFFIXES
    return (folded.with_suffix("") if is_format else folded).as_posix()
