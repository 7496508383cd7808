"""New recordings from `data/inbox/CORPUS` into `data/raw/CORPUS`, under DVC.

A folder in the inbox is laid out as `ser corpus add folder` reads one: `labels.csv` beside the
recordings, or folders EMOTION/SPEAKER. What is fit comes in together; what is not is moved to
`data/inbox/refused/CORPUS`, with a table that says why. A kill in between loses nothing: what
has come in already is recognised, and the rest is taken the next time.
"""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

from ser.core.utterance.fitness import LeftOut
from ser.corpora.base import Labelled, utterances
from ser.corpora.catalogue import CORPORA
from ser.corpora.listing import list_folder
from ser.corpora.own import shelf
from ser.corpora.own.shelf import CARD_FILE, is_own_name
from ser.errors import CorpusError
from ser.files import file_hash
from ser.inbox.corrections import REQUEST_ID
from ser.io.audio.read import LONG, audio_sha256, read_recording
from ser.io.intake import dvc
from ser.io.intake.checksums import SUMS
from ser.io.intake.ingest import Ingested, ingest
from ser.io.intake.own import OwnCorpus, add_own, check_table, grown, prepare_own
from ser.io.storage.tables import read_table
from ser.params import FeatureParams
from ser.project import INBOX, MANIFESTS, RAW
from ser.stages.manifest import find_unfit, needs_of

REFUSED = INBOX / "refused"
TABLES = ("labels.csv", "labels.tsv", "labels.parquet")
MAPPING = "mapping.yaml"
#: Files beside the recordings that describe them.
DESCRIPTIONS = (*TABLES, MAPPING, CARD_FILE, SUMS)


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
        and not REQUEST_ID.fullmatch(entry.name)
        and any(path.is_file() for path in entry.rglob("*"))
    )


def take_in(root: Path, name: str, *, features: FeatureParams, settle_seconds: float) -> Taken:
    """Take in what is fit of `data/inbox/NAME`, and move what is not to `data/inbox/refused`.

    settle_seconds : a folder in which something changed since is left alone: it may be half
    copied. Raises SerError where nothing can be taken in, for a reason that is no recording's.
    """
    source, dest = root / INBOX / name, root / RAW / name
    begun = time.time()
    age = begun - max(path.stat().st_mtime for path in [source, *source.rglob("*")])
    if age < settle_seconds:
        return Taken(name, waits=f"changed {age:.0f} s ago; it is taken in when it has settled")
    if not (name in CORPORA or is_own_name(name)):
        raise CorpusError(
            f"{source} cannot be a corpus: small letters, digits, - and _ make a name. Rename it."
        )
    found = [str(file) for file in list_folder(source, aside=_is_description).recordings]
    if not found:
        return Taken(name, waits="holds no recordings")
    labels, refused = _labels(source, dest, found)
    refused += _unfit(root, name, labels, features)
    refused += _known(root, name, _without(labels, refused))
    fit = sorted(_without(labels, refused))
    ingested = _bring(source, dest, fit) if fit else None
    if ingested is not None:
        dvc.add(root, RAW / name)
    _clear(root, name, fit, refused, begun)
    return Taken(name, ingested.added if ingested else 0, tuple(refused))


def _is_description(path: PurePath) -> bool:
    return str(path) in DESCRIPTIONS


def _without(labels: Labelled, refused: Sequence[LeftOut]) -> Labelled:
    files = {one.file for one in refused}
    return {file: own for file, own in labels.items() if str(file) not in files}


def _labels(source: Path, dest: Path, files: Sequence[str]) -> tuple[Labelled, list[LeftOut]]:
    """The labels of the recordings, and those that cannot come in for theirs.

    Raises CorpusError where the table itself is wrong, which is no recording's fault.
    """
    if dest.name in CORPORA:
        corpus = CORPORA[dest.name]
        return _halved(lambda some: corpus.label(source, list(map(PurePath, some))), files)
    if table := _table(source):
        check_table(table)

    def own_labels(some: Sequence[str]) -> Labelled:
        own = _prepared(source, some)
        grown(own, dest)
        return shelf.labelled(own.labels)

    return _halved(own_labels, files)


def _halved(
    label: Callable[[Sequence[str]], Labelled], files: Sequence[str]
) -> tuple[Labelled, list[LeftOut]]:
    """The labels that `label` gives, and the recordings for which it raises CorpusError.

    Those that fail together are halved, and so on. Raises CorpusError where each is labelled by
    itself, but not with another one.
    """
    try:
        return label(files), []
    except CorpusError as error:
        if len(files) == 1:
            # Below the first line stands what a person at a terminal may paste.
            why, *_ = str(error).splitlines()
            return {}, [LeftOut(files[0], "label", f"{files[0]}: {why}")]
        middle = len(files) // 2
        halves = [_halved(label, part) for part in (files[:middle], files[middle:])]
        refused = [one for _, bad in halves for one in bad]
        if not refused:
            raise
        kept = [str(file) for labels, _ in halves for file in labels]
        # They may differ from each other, too.
        labels, more = _halved(label, kept) if kept else ({}, [])
        return labels, [*refused, *more]


def _unfit(root: Path, name: str, labels: Labelled, features: FeatureParams) -> list[LeftOut]:
    """Recordings of which some utterance is unfit for training: it would stop the pipeline."""
    folder = INBOX / name
    of_file = {
        one.segment.of((folder / file).as_posix()): str(file)
        for file, own in utterances(labels)
        for one in own
    } | {(folder / file).as_posix(): str(file) for file in labels}
    found = find_unfit(root, folder, labels, needs=needs_of(features), doing=f"check {folder}")
    first: dict[str, LeftOut] = {}
    for one in found:
        file = of_file[one.file]
        first.setdefault(file, LeftOut(file, one.reason, one.why))
    return list(first.values())


def _known(root: Path, name: str, labels: Labelled) -> list[LeftOut]:
    """Recordings that the corpus has already: the same samples under another name, or another
    recording of this name."""
    manifest = root / MANIFESTS / f"{name}.parquet"
    rows = read_table(manifest) if manifest.exists() else None
    there = {} if rows is None else dict(zip(rows["audio_sha256"], rows["file"], strict=True))
    refused = []
    for file in sorted(map(str, labels)):
        recording, sha256 = read_recording(root / INBOX / name / file, limits=LONG)
        samples, own = audio_sha256(recording), RAW / name / file
        if (root / own).exists() and file_hash(root / own) != sha256:
            why = f"{file} is another recording than {own}. Give it a name of its own."
            refused.append(LeftOut(file, "name", why))
        elif there.setdefault(samples, own.as_posix()) != own.as_posix():
            why = f"{file} has the samples of {there[samples]}. Leave it out."
            refused.append(LeftOut(file, "copy", why))
    return refused


def _bring(source: Path, dest: Path, files: Sequence[PurePath]) -> Ingested:
    """Copy the recordings to `dest`, with their labels."""
    if dest.name in CORPORA:
        fit = set(files)
        return ingest(source, dest, replace(CORPORA[dest.name], belongs=lambda path: path in fit))
    return add_own(_prepared(source, list(map(str, files))), source, dest)


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


def _clear(
    root: Path, name: str, added: Sequence[PurePath], refused: Sequence[LeftOut], begun: float
) -> None:
    """Delete what came in, and move what was refused beside a table of reasons.

    What has arrived since `begun` stays for the next time, with the description of it.
    """
    source = root / INBOX / name
    if refused:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        target = root / REFUSED / name / stamp
        target.mkdir(parents=True)
        with (target / "refused.csv").open("w", encoding="utf-8", newline="") as report:
            writer = csv.writer(report)
            writer.writerow(["file", "reason", "why"])
            writer.writerows((one.file, one.reason, one.why) for one in refused)
        for path in (source / described for described in DESCRIPTIONS):
            if path.is_file():
                shutil.copy2(path, target)
        for one in refused:
            (target / one.file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(source / one.file, target / one.file)
    for file in added:
        (source / file).unlink(missing_ok=True)
    left = [path for path in source.rglob("*") if path.is_file()]
    has_arrived = any(path.stat().st_mtime >= begun for path in left)
    if not has_arrived and all(_is_description(path.relative_to(source)) for path in left):
        shutil.rmtree(source)
