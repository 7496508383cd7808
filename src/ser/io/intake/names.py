"""File names from archives, servers and lists: none may lead out or be another's name, too."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath

from ser.core.utterance.names import is_fit
from ser.errors import CorpusError

#: Bytes that common file systems allow: of one part, and of a whole relative path.
MAX_PART, MAX_PATH = 255, 1024
DRIVE = re.compile(r"[A-Za-z]:")


def safe_path(name: str, where: str) -> PurePosixPath:
    """`name` as a relative path of plain parts; raises CorpusError if it is none.

    where : the archive, server or list that has the name, for the error.
    """
    if name.startswith("/") or DRIVE.match(name) or ".." in name.split("/"):
        raise CorpusError(f"{where}: {name!r} leads out of the archive or folder; refused.")
    if "\\" in name:
        raise CorpusError(
            f"{where}: {name!r} holds a backslash; expected / between folders. Refused: rename "
            "it, or pack it as a ZIP."
        )
    if not is_fit(name):
        raise CorpusError(f"{where}: {name!r} holds control characters or broken Unicode; refused.")
    path = PurePosixPath(name)
    if not path.parts:
        raise CorpusError(f"{where}: {name!r} is no file name; refused.")
    longest = max(len(part.encode()) for part in path.parts)
    if longest > MAX_PART or len(name.encode()) > MAX_PATH:
        raise CorpusError(
            f"{where}: {name[:40]!r}… is {len(name.encode())} bytes long, with a part of "
            f"{longest}; {MAX_PATH} and {MAX_PART} are allowed. Shorten it."
        )
    return path


def check_distinct(paths: Iterable[PurePath], where: str) -> None:
    """Raise CorpusError where two paths are one on a file system that ignores case or
    Unicode form, be it a file or a folder of theirs."""
    spelt: dict[str, str] = {}
    seen: set[str] = set()
    for path in paths:
        if str(path) in seen:
            raise CorpusError(f"{where} holds {path} twice; refused.")
        seen.add(str(path))
        for prefix in (path, *path.parents):
            text = str(prefix)
            other = spelt.setdefault(_folded(text), text)
            if other != text:
                raise CorpusError(
                    f"{where}: {other!a} and {text!a} differ only by case or Unicode form, and are "
                    "one file on some systems; refused. Rename one."
                )


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
