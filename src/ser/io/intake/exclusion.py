"""Which recordings are left out of a manifest, who decides it, and how many may be.

`data.exclude` is a list of paths in data/raw, or a file that has one. A path may hold the wildcards
of fnmatch, where `*` stands for folders as well; its first part is the corpus's name. An entry that
matches nothing is an error: misspelt, it would do nothing.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

import yaml

from ser.core.utterance.fitness import EXCLUDED, KNOWN_BAD, MENDABLE, LeftOut, counted, in_words
from ser.core.utterance.formats import is_audio
from ser.core.utterance.names import excluding
from ser.corpora.base import Corpus
from ser.corpora.catalogue import CORPORA, own_names
from ser.errors import ParamsError, StageError
from ser.params import DataParams
from ser.project import RAW

#: Bad recordings that are named before the rest is only counted.
SHOWN = 20


def excluded(
    root: Path, data: DataParams, name: str, recordings: Sequence[PurePath]
) -> set[PurePath]:
    """Those of the corpus's recordings that `data.exclude` names.

    recordings : relative to data/raw/NAME.
    Raises ParamsError for an entry that is no path of a corpus, or matches nothing of this one.
    """
    by_path = {_normal(f"{name}/{file.as_posix()}"): file for file in recordings}
    found: set[PurePath] = set()
    unmatched = []
    for entry in entries_of(root, data, name):
        # A path may hold brackets that are no wildcards.
        same = [by_path[entry]] if entry in by_path else []
        matching = same or [file for path, file in by_path.items() if fnmatchcase(path, entry)]
        found.update(matching)
        if not matching:
            unmatched.append(entry)
    if unmatched:
        more = f" ({len(unmatched)} such entries)" if len(unmatched) > 1 else ""
        raise ParamsError(
            f"data.exclude names {unmatched[0]}, which matches no recording in {RAW}{more}. "
            f"{_remedy(unmatched[0], list(by_path))}"
        )
    return found


def entries_of(root: Path, data: DataParams, name: str) -> tuple[str, ...]:
    """The entries of `data.exclude`, or of the file that it names, without other corpora's."""
    entries: Sequence[str] = data.exclude
    if isinstance(data.exclude, str):
        lines = _read(root, data.exclude).splitlines()
        entries = [s for line in lines if (s := line.strip()) and not s.startswith("#")]
    # Paths in messages start at the project's root; one may be pasted.
    paths = [_normal(entry).removeprefix(f"{RAW.as_posix()}/") for entry in entries]
    others = {*CORPORA, *own_names(root / RAW), *data.corpora} - {name}
    return tuple(path for path in paths if path.partition("/")[0] not in others)


def not_read(
    folder: Path, corpus: Corpus, recordings: Sequence[PurePath], chosen: Collection[PurePath] = ()
) -> dict[PurePath, LeftOut]:
    """Recordings that are left out undecoded: those that the user chose, and known bad ones."""
    found: dict[PurePath, LeftOut] = {}
    for file in recordings:
        path = (folder / file).as_posix()
        if file in chosen:
            found[file] = LeftOut(path, EXCLUDED, f"{path} is named in data.exclude.")
        elif file.stem in corpus.known_bad:
            why = corpus.known_bad[file.stem]
            found[file] = LeftOut(path, KNOWN_BAD, f"{path} is {why}.")
    return found


def named(left_out: Iterable[LeftOut], *, shown: int = SHOWN) -> list[str]:
    """A line for each bad recording, and one for those beyond the first `shown`."""
    bad = [f"{one.reason}: {one.why}" for one in left_out if one.is_bad]
    return bad if len(bad) <= shown else [*bad[:shown], f"and {len(bad) - shown} more."]


def check_bad(name: str, bad: Sequence[LeftOut], *, of: int, data: DataParams) -> None:
    """Raise StageError unless `data.on_bad` lets so many of the corpus's recordings drop out.

    Recordings that can be restored are never dropped.
    """
    if mendable := [one for one in bad if one.reason in MENDABLE]:
        raise StageError(f"{mendable[0].why} ({len(mendable)} of {of} files fail so.)")
    if not (way := way_out(bad, of=of, data=data)):
        return
    share = len(bad) / of
    above = share > data.max_bad_share
    limit = f", more than data.max_bad_share {data.max_bad_share:g} allows" if above else ""
    raise StageError(
        f"{name}: {len(bad)} of {of} files fail, {share:.1%} unfit for training{limit} "
        f"({in_words(counted(bad))}). The first: {bad[0].why} {way}"
    )


def way_out(bad: Sequence[LeftOut], *, of: int, data: DataParams) -> str:
    """What to write into params.yaml so that bad recordings drop out; empty where they do.

    of : all of the corpus's recordings, whatever is excluded: with fewer, the share that is
        advised would rise with each exclusion.
    """
    share = len(bad) / max(1, of)
    if not bad or (data.on_bad == "drop" and share <= data.max_bad_share):
        return ""
    # Rounded up, so that what is advised is enough.
    least = math.ceil(share * 1000) / 1000
    ways = [] if data.on_bad == "drop" else ["`on_bad: drop`"]
    if share > data.max_bad_share:
        ways.append(f"`max_bad_share: {least:g}`")
    each = excluding(one.file for one in bad) if len(bad) <= 3 else "each of them in `exclude`"
    return (
        "Mend them, or leave them out: in params.yaml, below data, put "
        f"{' and '.join(ways)}, or {each}."
    )


def _read(root: Path, file: str) -> str:
    path = root / file
    if is_audio(path):
        raise ParamsError(
            f"data.exclude is the recording {file}; expected a list. Put brackets around it."
        )
    if not path.is_file():
        raise ParamsError(
            f"data.exclude is {file}, which is no file; expected a list of paths in {RAW}, or a "
            "file that has one a line. Correct it."
        )
    if not _watched(root, file):
        raise ParamsError(
            f"data.exclude is the file {file}, whose changes DVC would not notice. Add the line "
            f"`- {file}` to the deps of the stage manifest in dvc.yaml."
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(
            f"data.exclude is the file {file}, which is not readable as UTF-8 text. Save it anew."
        ) from error


def _watched(root: Path, file: str) -> bool:
    """Whether dvc.yaml, where there is one, has the file among the deps of `manifest`."""
    pipeline = root / "dvc.yaml"
    if not pipeline.is_file():
        return True
    stage = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]["manifest"]
    deps = stage.get("do", stage)["deps"]
    return PurePath(file) in {PurePath(dep) for dep in deps if isinstance(dep, str)}


def _remedy(entry: str, paths: Sequence[str]) -> str:
    same_name = [path for path in paths if PurePath(path).name == PurePath(entry).name]
    close = same_name[:3] or difflib.get_close_matches(entry, paths, n=3)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Expected a path such as {paths[0]}; correct the entry, or remove it."


def _normal(path: str) -> str:
    # Some systems write é as two characters.
    return unicodedata.normalize("NFC", path)
