"""What lies in a folder: recordings, and all that is not read as one."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from ser.core.utterance.formats import OTHER_SUFFIXES, is_audio
from ser.core.utterance.names import is_fit
from ser.corpora.base import several
from ser.errors import CorpusError

#: Kinds of files that are named before the rest is only counted.
SHOWN = 6
#: Where a link of DVC's leads: `files/md5/ab/…` of its cache.
_CACHED = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


@dataclass(frozen=True)
class Listing:
    """recordings : relative to the folder, sorted.
    others : what is no recording, by suffix or kind -> how many; hidden files left out.
    """

    recordings: tuple[PurePath, ...]
    others: Counter[str]

    @property
    def but(self) -> str:
        """` but 80 .wma, 3 .txt`, or nothing."""
        return f" but {describe(self.others)}" if self.others else ""


def list_folder(
    folder: Path,
    belongs: Callable[[PurePath], bool] = lambda path: True,
    *,
    aside: Callable[[PurePath], bool] = lambda path: False,
) -> Listing:
    """Regular files only, links to such included; folders that are links are not entered.

    belongs : which recordings are meant. aside : which other files are not counted.
    Raises CorpusError where a recording's name holds control characters or is no UTF-8.
    """
    recordings: list[PurePath] = []
    others: Counter[str] = Counter()
    for path, kind in _walk(folder):
        relative = PurePath(path.relative_to(folder).as_posix())
        if not kind and is_audio(relative) and belongs(relative):
            recordings.append(relative)
        elif not is_hidden(relative) and not aside(relative):
            others[kind or suffix_of(relative)] += 1
    recordings.sort()
    problems = {
        file: CorpusError(
            f"{file.as_posix()!a} in {folder} holds control characters or is no UTF-8. Rename it."
        )
        for file in recordings
        if not is_fit(str(file))
    }
    if problems:
        raise several(problems)
    return Listing(tuple(recordings), others)


def leading_out(folder: Path, files: Iterable[PurePath]) -> list[PurePath]:
    """Those of the files that are links to what lies elsewhere; DVC's own links are not."""
    inside = os.path.join(os.path.realpath(folder), "")
    links = [file for file in files if os.path.islink(folder / file)]
    targets = [os.path.realpath(folder / link) for link in links]
    return [
        link
        for link, target in zip(links, targets, strict=True)
        if not target.startswith(inside) and not _CACHED.search(target)
    ]


def is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def suffix_of(path: PurePath) -> str:
    return path.suffix.lower()[:12] or "without a suffix"


def describe(others: Counter[str]) -> str:
    """`80 .wma, 3 .txt`, the most frequent first."""
    shown = others.most_common(SHOWN)
    rest = others.total() - sum(n for _, n in shown)
    named = [f"{n} {kind}" for kind, n in shown]
    return ", ".join([*named, f"{rest} others"] if rest else named)


def others_in_words(others: Counter[str]) -> str:
    """A line on what is not read, with a remedy for media; empty where there is nothing."""
    if not others:
        return ""
    media = [suffix for suffix, _ in others.most_common() if suffix in OTHER_SUFFIXES]
    way = f" Convert media first: `ffmpeg -i x{media[0]} x.wav`." if media else ""
    return f"Not read: {describe(others)}.{way}"


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each path that is no folder, and its kind if it is no regular file."""
    for parent, folders, files in os.walk(folder):
        for name in sorted(folders):
            if os.path.islink(os.path.join(parent, name)):
                yield Path(parent, name), "linked folders"
        for name in files:
            yield Path(parent, name), _kind(os.path.join(parent, name))


def _kind(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "broken links"
    return "" if stat.S_ISREG(mode) else "pipes, sockets or devices"
