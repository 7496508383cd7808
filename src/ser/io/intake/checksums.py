"""`SHA256SUMS` of a corpus: hashes of its files when they came in, as sha256sum writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.corpora.own.reading import read_bytes
from ser.errors import CorpusError
from ser.files import atomic_path, hash_files
from ser.io.intake.names import safe_path

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


@dataclass(frozen=True)
class Changes:
    """Files that are listed but not here, here with other bytes, and here but not listed."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()


def write_sums(folder: Path, known: Mapping[str, str] | None = None) -> None:
    """Write the hashes of all files under `folder`, hidden files left out, into its SHA256SUMS.

    known : hashes by relative path; these files are not read.
    """
    files, known = listed_files(folder), known or {}
    sums = {**hashes(folder, [file for file in files if file not in known]), **known}
    with atomic_path(folder / SUMS) as temporary:
        temporary.write_text("".join(f"{sums[file]}  {file}\n" for file in files), encoding="utf-8")


def hashes(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """SHA-256 of files of a folder; raises CorpusError where one cannot be read."""
    sums = hash_files({file: folder / file for file in files}, "sha256")
    if unread := [file for file in files if file not in sums]:
        raise CorpusError(f"{folder / unread[0]} cannot be read. Give access, then try again.")
    return sums


def read_sums(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256; raises CorpusError where the list is missing or malformed."""
    path = folder / SUMS
    remedy = (
        "Restore the corpus with `dvc checkout`, or remove it and add it again: that writes the "
        "list."
    )
    # A name with bytes that are no UTF-8 is refused below.
    text = read_bytes(path, remedy=remedy).decode(errors="surrogateescape")
    sums = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise CorpusError(
                f"{path}, line {number}, is {line[:80]!r}; expected a SHA-256, two spaces and a "
                "relative path. Restore it with `dvc checkout`."
            )
        sums[str(safe_path(match[2], str(path)))] = match[1]
    return sums


def changed(
    folder: Path,
    sums: Mapping[str, str] | None = None,
    algorithm: str = "sha256",
    *,
    progress: Callable[[int], object] | None = None,
) -> Changes:
    """How a folder differs from `sums`, by default those of its SHA256SUMS.

    `progress` is called with counts of hashed files.
    """
    sums, here = read_sums(folder) if sums is None else sums, set(listed_files(folder))
    present = [file for file in sums if file in here]
    found = hash_files({file: folder / file for file in present}, algorithm, progress=progress)
    return Changes(
        missing=tuple(sorted(sums.keys() - here)),
        changed=tuple(file for file in present if found.get(file) != sums[file]),
        unlisted=tuple(sorted(here - sums.keys())),
    )


def check_unchanged(folder: Path) -> None:
    """Raise CorpusError where a listed file of a corpus is missing or has other bytes."""
    found = changed(folder)
    if wrong := (*found.missing, *found.changed):
        raise damage(folder, wrong)


def damage(folder: Path, files: Sequence[str]) -> CorpusError:
    """Files of a corpus that are not as they came in, and the way out."""
    return CorpusError(
        f"{folder / files[0]} is missing or has other bytes than it came in with ({len(files)} "
        f"such files). `ser corpus verify {folder.name}` shows how to restore it."
    )


def listed_files(folder: Path) -> list[str]:
    """Relative paths of the files that SHA256SUMS names: all but itself and hidden ones."""
    try:
        return sorted(_walk(folder, ""))
    except OSError as error:
        raise CorpusError(
            f"{error.filename or folder} cannot be read ({error.strerror or error}). Give access, "
            "then try again."
        ) from error


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
        elif not entry.name.startswith(".") and (prefix or entry.name != SUMS):
            yield f"{prefix}{entry.name}"
