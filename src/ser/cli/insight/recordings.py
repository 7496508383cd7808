"""Which recordings a command looks at: a model's own test split, a corpus, a folder, a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ser.errors import CorpusError, RegistryError, SerError, TableError
from ser.output import count_of, one_line
from ser.project import FOLDS, MANIFESTS, RAW, find_root, project_root

if TYPE_CHECKING:
    import pandas as pd

    from ser.api import Found
    from ser.bundle import Bundle


@dataclass(frozen=True)
class Recordings:
    """table : a manifest; `emotion` is "" in all rows where they are not labelled. root : the
    folder that its files lie in. name : for a title."""

    root: Path
    table: pd.DataFrame
    name: str


def of_model(found: Found, bundle: Bundle) -> Recordings:
    """The model's own test split; raises TableError where the project does not have it."""
    from ser.core.utterance.tables import split_sha256

    root = find_root()
    expected = bundle.card.get("split_sha256")
    table = None if root is None else _split(root, found, expected)
    if root is None or table is None:
        raise TableError(
            "The test split of this model is not here. Name recordings with --corpus, --folder or "
            "--folds FILE."
        )
    return Recordings(
        root, table[table["split"] == "test"], f"test split {split_sha256(table)[:12]}"
    )


def _split(root: Path, found: Found, expected: str | None) -> pd.DataFrame | None:
    """The folds that the bundle was trained on: the project's, or those of the version's run."""
    from ser.core.utterance.tables import check_folds, split_sha256
    from ser.io.storage.tables import read_table

    if expected and (root / FOLDS).is_file():
        table = read_table(root / FOLDS, check_folds)
        if split_sha256(table) == expected:
            return table
    if expected is None or found.version is None:
        return None
    from ser.io.tracking import runs
    from ser.io.tracking.registry.versions import get_version

    try:
        run_id = get_version(root, found.version).run_id
        return read_table(runs.fetch_artifact(root, run_id, f"reports/{FOLDS.name}"), check_folds)
    except RegistryError:
        return None


def of_folds(path: Path) -> Recordings:
    """A folds table's test rows, or all rows of a manifest; files lie in the project, or here."""
    from ser.core.utterance.tables import check_folds, check_manifest
    from ser.io.storage.tables import read_table

    table = read_table(path, remedy="Name a folds table or a manifest.")
    if "split" in table:
        check_folds(table)
        table = table[table["split"] == "test"]
    else:
        check_manifest(table, str(path))
    return Recordings(find_root() or Path.cwd(), table, path.stem)


def of_corpus(name: str) -> Recordings:
    """All utterances of a corpus in data/raw."""
    from ser.core.utterance.tables import check_manifest
    from ser.corpora.catalogue import corpus_named, list_recordings
    from ser.io.storage.tables import read_table

    root = project_root()
    known = root / MANIFESTS / f"{name}.parquet"
    if known.is_file():
        return Recordings(root, read_table(known, check_manifest), name)
    corpus = corpus_named(name, root / RAW)
    folder = root / RAW / name
    labels = corpus.label(folder, list_recordings(folder, corpus))
    return Recordings(root, _read(root, RAW / name, labels, name, corpus.people or name), name)


def of_folder(folder: Path, corpus: str | None, described: Mapping[str, Any]) -> Recordings:
    """Labelled recordings of any folder, as `ser audit` reads them."""
    from ser.audit import label_folder

    if not folder.is_dir():
        raise SerError(f"{folder} is not a folder; name the one that holds the recordings.")
    notes: list[str] = []
    try:
        name, labels, _ = label_folder(folder, corpus, described, notes)
    except CorpusError as error:
        raise CorpusError(
            f"{error} Or without labels: --unlabelled counts unchanged answers alone."
        ) from error
    for note in dict.fromkeys(notes):
        print(f"note: {one_line(note)}", file=sys.stderr)
    return Recordings(folder, _read(folder, Path(), labels, name, name), folder.name)


def of_unlabelled(folder: Path) -> Recordings:
    """Recordings without labels; each folder of them counts as a speaker."""
    from ser.core.utterance.formats import AUDIO_FORMATS
    from ser.core.utterance.tables import UNKNOWN
    from ser.corpora.base import Labels
    from ser.corpora.listing import list_folder

    if not folder.is_dir():
        raise SerError(f"{folder} is not a folder; name the one that holds the recordings.")
    files = list_folder(folder).recordings
    if not files:
        raise CorpusError(f"{folder} holds no recordings; expected {AUDIO_FORMATS}.")
    labels = {
        file: Labels(file.parent.as_posix(), UNKNOWN, emotion="", sentence=UNKNOWN)
        for file in files
    }
    return Recordings(folder, _read(folder, Path(), labels, "folder", "folder"), folder.name)


def unknown_to(bundle: Bundle, recordings: Recordings) -> Recordings:
    """Without speakers that the model was trained on and emotions that it has not; says so."""
    table = recordings.table
    trained = table["speaker"].isin(bundle.card.get("train_speakers", ()))
    strange = ~table["emotion"].isin([*bundle.classes, ""])
    for rows, why in (
        (trained, "the model was trained on their speakers"),
        (strange & ~trained, f"the model has {', '.join(bundle.classes)} alone"),
    ):
        if rows.any():
            print(f"left out: {count_of(int(rows.sum()), 'utterance')}: {why}", file=sys.stderr)
    kept = table[~(trained | strange)]
    if kept.empty:
        raise TableError(
            f"None of {count_of(len(table), 'utterance')} is left; name recordings of other "
            "speakers."
        )
    return Recordings(recordings.root, kept, recordings.name)


def _read(
    root: Path, folder: Path, labels: Mapping[PurePath, Any], corpus: str, people: str
) -> pd.DataFrame:
    """A manifest of the recordings that are fit; names the others."""
    from ser.core.utterance.fitness import LeftOut
    from ser.core.utterance.tables import manifest_table
    from ser.params import FeatureParams
    from ser.stages.manifest import needs_of, read_rows, readable

    bad: list[LeftOut] = []
    needs = needs_of(FeatureParams())
    rows = read_rows(root, folder, labels, corpus=corpus, people=people, needs=needs)
    table = manifest_table(readable(rows, bad))
    for one in bad:
        print(f"left out: {one_line(one.why)}", file=sys.stderr)
    if table.empty:
        raise CorpusError(f"None of {count_of(len(labels), 'recording')} is fit: {bad[0].why}")
    return table
