"""What is to be pictured: corpora of the project, and folders with or without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from ser.audit import label_folder
from ser.core.corpus.choice import sample
from ser.core.utterance.fitness import LeftOut, counted, in_words
from ser.core.utterance.tables import UNKNOWN, check_manifest, manifest_table
from ser.corpora.base import Labelled, Labels
from ser.corpora.catalogue import check_present, corpus_named, label_files
from ser.corpora.listing import list_folder
from ser.errors import AudioError, CorpusError, MissingCorpus, SerError, TableError
from ser.files import code_sha256, names_apart
from ser.io.intake import shelf
from ser.io.storage.manifests import by_key
from ser.io.storage.shards import Recipe, read_functionals, read_index
from ser.io.storage.tables import read_table
from ser.output import count_of
from ser.params import FeatureParams
from ser.project import FEATURES, MANIFESTS, RAW
from ser.stages.explore import measures_of
from ser.stages.featurize import CODE, features_of
from ser.stages.manifest import needs_of, read_rows, readable


@dataclass(frozen=True)
class Source:
    """A corpus or folder.

    table : a manifest's rows of it; their files are relative to `root`. notes : a line each.
    """

    name: str
    root: Path
    table: pd.DataFrame
    notes: tuple[str, ...] = ()


def find_sources(
    asked: Sequence[str],
    root: Path | None,
    params: FeatureParams,
    *,
    corpora: Sequence[str] = (),
    described: Mapping[str, Any] | None = None,
) -> list[Source]:
    """A source for each name of a corpus of the project `root`, and for each folder.

    corpora : taken where nothing is asked for. described : how a folder's recordings are labelled,
    as `ser.audit` takes it. Raises SerError for what is neither.
    """
    found: list[Source] = []
    for one in asked or corpora:
        if root and one in shelf.here(root):
            source = of_project(one, root, params)
        elif Path(one).is_dir():
            source = of_folder(Path(one), params, described or {})
        else:
            here = ", ".join(shelf.here(root)) if root else "none: this folder is in no project"
            raise SerError(
                f"{one} is neither a folder nor a corpus that is here; corpora here: {here}. "
                "Name one of these, or a folder of recordings."
            )
        found.append(source)
    if not found:
        raise SerError("Nothing to picture. Name a corpus of a project, or a folder of recordings.")
    return [
        source
        if source.name == name
        else replace(source, name=name, table=source.table.assign(corpus=name))
        for source, name in zip(found, names_apart(one.name for one in found), strict=True)
    ]


def of_project(name: str, root: Path, params: FeatureParams) -> Source:
    """A corpus in data/raw: by its manifest where `dvc repro` made one, else read now."""
    try:
        table = read_table(root / MANIFESTS / f"{name}.parquet", check_manifest)
        return Source(name, root, table)
    except TableError:
        check_present(root, (name,))
    corpus = corpus_named(name, root / RAW)
    labels = label_files(root / RAW / name, corpus)
    labels = {file: own for file, own in labels.items() if file.stem not in corpus.known_bad}
    return _read(name, root, RAW / name, labels, params, people=corpus.people or name)


def of_folder(folder: Path, params: FeatureParams, described: Mapping[str, Any]) -> Source:
    """A folder's recordings, labelled as `ser audit` labels them; without labels where it cannot.

    Raises MissingCorpus where there are none, and CorpusError where labels were described.
    """
    notes: list[str] = []
    name = folder.resolve().name or "recordings"
    try:
        read_as, labels, unlabelled = label_folder(folder, None, described, notes)
    except MissingCorpus:
        raise
    except CorpusError as error:
        if described:
            raise
        labels, unlabelled = _unlabelled(folder), 0
        notes = [f"No labels were found, so there is nothing by emotion: {error}"]
    else:
        notes.insert(0, f"{name}: labels read as {read_as}.")
    if unlabelled:
        notes.append(f"{name}: {count_of(unlabelled, 'recording')} without a label, not pictured.")
    source = _read(name, folder, Path(), labels, params, people=name)
    return replace(source, notes=(*notes, *source.notes))


def _unlabelled(folder: Path) -> dict[PurePath, Labels]:
    recordings = list_folder(folder).recordings
    return dict.fromkeys(
        sorted(recordings), Labels(UNKNOWN, sex=UNKNOWN, emotion=UNKNOWN, sentence=UNKNOWN)
    )


def _read(
    name: str, root: Path, folder: Path, labels: Labelled, params: FeatureParams, *, people: str
) -> Source:
    bad: list[LeftOut] = []
    rows = read_rows(root, folder, labels, corpus=name, people=people, needs=needs_of(params))
    table = manifest_table(readable(rows, bad))
    if table.empty:
        why = f" The first: {bad[0].why}" if bad else ""
        raise CorpusError(f"None of the recordings of {name} can be pictured.{why}")
    left_out = f"{name}: left out are {in_words(counted(bad))}, first {bad[0].why}" if bad else ""
    return Source(name, root, table, tuple(filter(None, [left_out])))


@dataclass(frozen=True)
class Clips:
    """Utterances that are measured, all sources together.

    table : a manifest's columns, `root`, and the measures'. functionals : float32
    (n, n_functionals), in the same order. notes : a line each.
    """

    table: pd.DataFrame
    functionals: pd.DataFrame
    notes: tuple[str, ...]


def take(sources: Sequence[Source], params: FeatureParams, *, most: int | None, seed: int) -> Clips:
    """Measures and functionals of the sources' utterances, of at most `most` of each.

    Stored functionals are taken where they are of these parameters and this code. What cannot be
    read (any more) is left out with a note. Raises CorpusError where nothing is left.
    """
    tables, matrices = [], []
    notes = [note for source in sources for note in source.notes]
    for source in sources:
        table = source.table if most is None else sample(source.table, most, seed=seed)
        if len(table) < len(source.table):
            notes.append(
                f"{source.name}: {len(table)} of {len(source.table)} utterances, drawn at random."
            )
        table = table.drop(columns="fingerprint").reset_index(drop=True)
        measures = measures_of(source.root, table, params, doing=f"measure {source.name}")
        matrix, failures = functionals_of(source, table, params)
        good = measures["level_db"].notna() & matrix.notna().all(axis="columns")
        if lost := int((~good).sum()):
            first = f", first {failures[0]}" if failures else ""
            notes.append(f"{source.name}: {count_of(lost, 'utterance')} cannot be read{first}")
        tables.append(pd.concat([table, measures], axis=1).assign(root=str(source.root))[good])
        matrices.append(matrix[good])
    table = pd.concat(tables, ignore_index=True)
    if table.empty:
        raise CorpusError(f"No utterance can be read. {' '.join(notes)}")
    return Clips(table, pd.concat(matrices, ignore_index=True), tuple(notes))


def functionals_of(
    source: Source, table: pd.DataFrame, params: FeatureParams
) -> tuple[pd.DataFrame, list[AudioError]]:
    """Functionals of each row, NaN where there are none, and why."""
    keys = by_key(table).index
    stored = stored_functionals(source.root, params)
    known = keys.isin(stored.index) if stored is not None else keys.isin([])
    failures: list[AudioError] = []
    parts: list[pd.DataFrame] = []
    if stored is not None and known.any():
        parts.append(stored.loc[keys[known]].set_axis(table.index[known]))
    if not known.all():
        made = features_of(source.root, table[~known], params, doing=f"features {source.name}")
        new = {}
        for row, features in zip(table.index[~known], made, strict=True):
            if isinstance(features, AudioError):
                failures.append(features)
            else:
                new[row] = features.functionals
        parts.append(pd.DataFrame.from_dict(new, orient="index"))
    return pd.concat(parts).reindex(table.index), failures


def stored_functionals(root: Path, params: FeatureParams) -> pd.DataFrame | None:
    """What `featurize` stored in a project; None where there is nothing of these parameters."""
    if not (root / FEATURES).is_dir():
        return None
    try:
        recipe, shards = read_index(root / FEATURES)
        if not shards or recipe != Recipe(params.model_dump(mode="json"), code_sha256(*CODE)):
            return None
        stored = read_functionals(root / FEATURES)
    except SerError:
        return None
    return stored[~stored.index.duplicated()]
