"""What lies in data/raw: which corpora, how many files of each; and how one is removed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePath

from ser.core.utterance.fitness import LEFT_OUT, LeftOut
from ser.core.utterance.formats import is_audio
from ser.corpora.base import Corpus
from ser.errors import CorpusError, TableError
from ser.files import one_at_a_time
from ser.io.intake import dvc
from ser.io.intake.checksums import listed_files
from ser.io.storage.tables import read_notes
from ser.project import MANIFESTS, RAW

DOWNLOADS = Path(".ser/fetch")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def here(root: Path) -> list[str]:
    """Names of the corpora in data/raw, those included that DVC tracks and has not checked out."""
    folder = root / RAW
    if not folder.is_dir():
        return []
    names = {p.name for p in folder.iterdir() if p.is_dir()}
    names |= {p.stem for p in folder.glob("*.dvc")}
    return sorted(name for name in names if NAME.fullmatch(name))


def count_files(root: Path, name: str) -> tuple[int, int]:
    """Recordings and all files of a corpus in data/raw; zeros where it is not here."""
    folder = root / RAW / name
    files = listed_files(folder) if os.path.isdir(folder) else []
    return sum(is_audio(PurePath(file)) for file in files), len(files)


def left_out(root: Path, name: str) -> list[LeftOut] | None:
    """The recordings that the corpus's manifest left out; None where no manifest can be read."""
    try:
        notes = read_notes(root / MANIFESTS / f"{name}.parquet")
    except TableError:
        return None
    return [LeftOut(**one) for one in notes.get(LEFT_OUT, [])]


def count_bad(root: Path, name: str, corpus: Corpus | None) -> int:
    """Recordings that are here and known to be unfit for training."""
    declared = {
        (RAW / name / file).as_posix()
        for file in listed_files(root / RAW / name)
        if corpus and PurePath(file).stem in corpus.known_bad
    }
    return len(declared | {one.file for one in left_out(root, name) or () if one.is_bad})


def parts(root: Path, name: str) -> list[Path]:
    """All that belongs to a corpus and is here, relative to the project; DVC's cache excepted."""
    if not NAME.fullmatch(name):
        raise CorpusError(f"{name!r} is no corpus's name; `ser corpus list` names those here.")
    places = (RAW / name, RAW / f"{name}.dvc", MANIFESTS / f"{name}.parquet", DOWNLOADS / name)
    found = [place for place in places if (root / place).exists() or (root / place).is_symlink()]
    if not found:
        raise CorpusError(f"No corpus {name} is here; `ser corpus list` names those that are.")
    return found


def remove(root: Path, name: str) -> None:
    """Delete a corpus's `parts`; another call finishes one that was interrupted."""
    with one_at_a_time(root / RAW / name):
        for place in parts(root, name):
            if place.suffix == ".dvc":
                continue
            path = root / place
            if path.is_dir() and not path.is_symlink():
                # Half a folder must not pass for a corpus.
                aside = path.with_name(f".{name}.removed.tmp")
                shutil.rmtree(aside, ignore_errors=True)
                path.replace(aside)
                shutil.rmtree(aside)
            else:
                path.unlink()
        if dvc.tracker_of(root, RAW / name).exists():
            dvc.forget(root, RAW / name)
