"""New recordings from `data/inbox/CORPUS` into `data/raw/CORPUS`, under DVC.

A folder in the inbox is laid out as `ser corpus add folder` reads one: `labels.csv` beside the
recordings, or folders EMOTION/SPEAKER. What is fit comes in together; what is not is moved to
`data/inbox/refused/CORPUS`, with a table that says why. A kill in between loses nothing: what
has come in already is recognised, and the rest is taken the next time.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath

from ser.core.utterance.fitness import LeftOut
from ser.corpora.base import Labels
from ser.corpora.catalogue import CORPORA, corpus_named
from ser.corpora.listing import list_folder
from ser.corpora.own.shelf import CARD_FILE, LABELS_FILE, is_own_name
from ser.errors import AudioError, CorpusError
from ser.io.audio.read import LONG, audio_sha256, read_recording
from ser.io.intake import dvc
from ser.io.intake.checksums import SUMS
from ser.io.intake.ingest import Ingested, ingest
from ser.io.intake.own import OwnCorpus, add_own, check_table, prepare_own
from ser.io.storage.tables import read_table
from ser.params import FeatureParams
from ser.project import INBOX, MANIFESTS, RAW
from ser.stages.manifest import find_unfit, needs_of

REFUSED = INBOX / "refused"
#: Folders that the server makes of corrections, by their request ids.
CORRECTION = re.compile(r"[0-9a-f]{32}")
TABLES = ("labels.csv", "labels.tsv", "labels.parquet")
MAPPING = "mapping.yaml"


@dataclass(frozen=True)
class Taken:
    """What became of one folder of the inbox.

    refused : recordings, by their path in the folder. waits : why nothing was looked at yet.
    """

    corpus: str
    added: int = 0
    refused: tuple[LeftOut, ...] = ()
    waits: str = ""


def waiting(root: Path) -> list[str]:
    """Names of the corpora that have recordings in the inbox."""
    folder = root / INBOX
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir()
        and not entry.name.startswith(".")
        and entry.name != REFUSED.name
        and not CORRECTION.fullmatch(entry.name)
        and any(path.is_file() for path in entry.rglob("*"))
    )


def take_in(root: Path, name: str, *, features: FeatureParams, settle_seconds: float) -> Taken:
    """Take in what is fit of `data/inbox/NAME`, and move what is not to `data/inbox/refused`.

    settle_seconds : a folder in which something changed since is left alone: it may be half
    copied. Raises SerError where nothing can be taken in, for a reason that is no recording's.
    """
    source = root / INBOX / name
    age = time.time() - max(path.stat().st_mtime for path in [source, *source.rglob("*")])
    if age < settle_seconds:
        return Taken(name, waits=f"changed {age:.0f} s ago; it is taken in when it has settled")
    if not (name in CORPORA or is_own_name(name)):
        raise CorpusError(
            f"{source} cannot be a corpus: small letters, digits, - and _ make a name. Rename it."
        )
    found = [str(file) for file in list_folder(source, aside=_is_description).recordings]
    refused = {one.file: one for one in _unfit(root, name, found, features)}
    fit = [file for file in found if file not in refused]
    refused |= {one.file: one for one in _known(root, name, fit)}
    fit = [file for file in fit if file not in refused]
    ingested, unlabelled = _add(root, name, fit)
    refused |= {one.file: one for one in unlabelled}
    if ingested is not None:
        dvc.add(root, RAW / name)
    _clear(root, name, [file for file in fit if file not in refused], list(refused.values()))
    return Taken(name, ingested.added if ingested else 0, tuple(refused.values()))


def _is_description(path: PurePath) -> bool:
    return str(path) in (*TABLES, MAPPING, LABELS_FILE, CARD_FILE, SUMS)


def _unfit(
    root: Path, name: str, files: Sequence[str], features: FeatureParams
) -> Iterator[LeftOut]:
    """Recordings that nothing can be trained on, whatever their labels."""
    folder = INBOX / name
    whole = Labels(speaker="", sex="", emotion="", sentence="")
    labels = {PurePath(file): whole for file in files}
    for one in find_unfit(root, folder, labels, needs=needs_of(features), doing=f"check {folder}"):
        yield LeftOut(str(PurePath(one.file).relative_to(folder)), one.reason, one.why)


def _known(root: Path, name: str, files: Sequence[str]) -> Iterator[LeftOut]:
    """Recordings whose samples the corpus has already, under another name, and doubles of these."""
    manifest = root / MANIFESTS / f"{name}.parquet"
    rows = read_table(manifest) if manifest.exists() else None
    there = {} if rows is None else dict(zip(rows["audio_sha256"], rows["file"], strict=True))
    for file in files:
        try:
            recording, _ = read_recording(root / INBOX / name / file, limits=LONG)
        except AudioError as error:
            yield LeftOut(file, "damaged", str(error.of(file)))
            continue
        samples = audio_sha256(recording)
        own = str(RAW / name / file)
        if there.get(samples, own) != own:
            yield LeftOut(file, "copy", f"{file} has the samples of {there[samples]}.")
        there.setdefault(samples, own)


def _add(root: Path, name: str, files: Sequence[str]) -> tuple[Ingested | None, list[LeftOut]]:
    """Bring the recordings that have labels into data/raw; those that have none, and why."""
    source, dest = root / INBOX / name, root / RAW / name
    if not files:
        return None, []
    if name in CORPORA:
        corpus = corpus_named(name, root / RAW)
        named = [file for file in files if corpus.belongs(PurePath(file))]
        others = [
            LeftOut(f, "no label", f"{f} is no name of {corpus.name}'s, which hold the labels.")
            for f in files
            if f not in named
        ]
        return (ingest(source, dest, corpus) if named else None), others
    # What is wrong with the table itself is no recording's fault.
    if table := _table(source):
        check_table(table)
    labelled, refused = _labelled(source, files)
    return (add_own(_prepared(source, labelled), source, dest) if labelled else None), refused


def _labelled(source: Path, files: Sequence[str]) -> tuple[list[str], list[LeftOut]]:
    """Which recordings their labels let in: those that fail together are halved, and so on.

    Raises CorpusError where each comes in by itself, but not with another one.
    """
    try:
        _prepared(source, files)
    except CorpusError as error:
        if len(files) == 1:
            # Below the first line stands what a person at a terminal may paste.
            why, *_ = str(error).splitlines()
            return [], [LeftOut(files[0], "label", f"{files[0]}: {why}")]
        middle = len(files) // 2
        (first, bad), (second, worse) = (
            _labelled(source, part) for part in (files[:middle], files[middle:])
        )
        kept, refused = [*first, *second], [*bad, *worse]
        if not refused:
            raise
        if kept:
            # They may differ from each other, too.
            kept, more = _labelled(source, kept)
            refused += more
        return kept, refused
    return list(files), []


def _table(source: Path) -> Path | None:
    return next((source / name for name in TABLES if (source / name).is_file()), None)


def _prepared(source: Path, files: Collection[str]) -> OwnCorpus:
    mapping = source / MAPPING
    return prepare_own(
        source,
        table=_table(source),
        mapping=mapping if mapping.is_file() else None,
        only=set(files),
        facts={"title": source.name},
    )


def _clear(root: Path, name: str, added: Sequence[str], refused: Sequence[LeftOut]) -> None:
    """Delete what came in, and move the rest of the folder to where the refused lie."""
    source = root / INBOX / name
    for file in added:
        (source / file).unlink(missing_ok=True)
    if refused:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        target = root / REFUSED / name / stamp
        target.parent.mkdir(parents=True, exist_ok=True)
        with (source / "refused.csv").open("w", encoding="utf-8", newline="") as report:
            writer = csv.writer(report)
            writer.writerow(["file", "reason", "why"])
            writer.writerows((one.file, one.reason, one.why) for one in refused)
        os.replace(source, target)
    else:
        shutil.rmtree(source)
