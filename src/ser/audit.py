"""Look a folder of labelled recordings over before anything is trained on it.

Who speaks how often and with which emotion, which recordings are there twice, which cannot be
read, and by how much a random split would flatter a score on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.inflation import Inflation, inflation
from ser.core.leakage import copies_of
from ser.core.tables import manifest_table, utterance_name
from ser.corpora.base import Corpus, Labelled
from ser.corpora.catalogue import CORPORA, list_recordings
from ser.corpora.own import labelled
from ser.corpora.segments import count_overlaps
from ser.errors import AudioError, CorpusError, MissingCorpus, ParamsError
from ser.io.own import prepare_own
from ser.params import FeatureParams
from ser.stages.featurize import features_of
from ser.stages.manifest import read_rows, readable


@dataclass(frozen=True)
class FolderAudit:
    """What was found in a folder.

    table : a manifest of the utterances that could be read.
    unreadable : one line for each that could not.
    copies : as `copies_of` returns.
    inflation : None where it was not asked for, or there is too little to measure it.
    """

    corpus: str
    table: pd.DataFrame
    unlabelled: int
    unreadable: tuple[str, ...]
    copies: pd.DataFrame
    inflation: Inflation | None

    @property
    def crossing(self) -> pd.DataFrame:
        """Copies under two speakers: no split by speakers keeps them apart."""
        return self._where("speaker")

    @property
    def relabelled(self) -> pd.DataFrame:
        """Copies under two emotions."""
        return self._where("emotion")

    @property
    def recordings(self) -> int:
        return self.table["file"].nunique()

    @property
    def overlaps(self) -> int:
        """Segments that overlap another of their recording with another emotion or speaker."""
        return count_overlaps(self.table)

    @property
    def is_clean(self) -> bool:
        return not self.unreadable and self.copies.empty

    def _where(self, column: str) -> pd.DataFrame:
        values = self.table[column].to_numpy(str)
        return self.copies[values[self.copies["a"]] != values[self.copies["b"]]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        table = self.table
        return {
            "corpus": self.corpus,
            "recordings": self.recordings,
            "utterances": len(table),
            "overlapping_segments": self.overlaps,
            "minutes": round(float(table["duration"].sum()) / 60, 2),
            "speakers": int(table["speaker"].nunique()),
            "emotions": {str(k): int(v) for k, v in table["emotion"].value_counts().items()},
            "sentences": int(table["sentence"].nunique()),
            "unlabelled": self.unlabelled,
            "unreadable": list(self.unreadable),
            "copies": [
                {
                    "files": [utterance_name(table.iloc[row]) for row in (a, b)],
                    "kind": kind,
                    "similarity": round(float(similarity), 3),
                }
                for a, b, kind, similarity in self.copies.to_numpy().tolist()
            ],
            "copies_under_two_speakers": len(self.crossing),
            "copies_under_two_emotions": len(self.relabelled),
            "random_split": None
            if self.inflation is None
            else {
                "uar_unknown_speakers": self.inflation.apart,
                "uar_random_split": self.inflation.random,
                "inflation": self.inflation.gap,
                "chance": self.inflation.chance,
                "folds": self.inflation.folds,
            },
        }


def audit_folder(
    folder: Path,
    *,
    corpus: str | None = None,
    described: Mapping[str, Any] | None = None,
    seed: int = 7,
    measure: bool = True,
) -> FolderAudit:
    """Audit the recordings under `folder`.

    corpus : whose they are; None: the first whose names they all bear, else by their folders.
    described : how a user's own recordings are labelled, as `prepare_own` has it.
    measure : extract features, and score a random split against one by speakers.
    Raises CorpusError where nobody can say what the recordings' labels are.
    """
    name, labels, unlabelled = label_folder(folder, corpus, described)
    failures: list[AudioError] = []
    rows = read_rows(folder, Path(), labels, corpus=name, people=name)
    table = manifest_table(readable(rows, failures))
    if table.empty:
        raise CorpusError(f"None of {len(labels)} recordings can be read: {failures[0]}")
    return FolderAudit(
        corpus=name,
        table=table,
        unlabelled=unlabelled,
        unreadable=tuple(map(str, failures)),
        copies=copies_of(table, table["fingerprint"]),
        inflation=_inflation(folder, table, seed) if measure else None,
    )


def label_folder(
    folder: Path, corpus: str | None, described: Mapping[str, Any] | None = None
) -> tuple[str, Labelled, int]:
    """The corpus's name, the labels, and how many recordings have none by its own rules."""
    if corpus in CORPORA:
        return _labelled_as(folder, CORPORA[corpus])
    if described or corpus:
        return _labelled_as_own(folder, corpus, described or {})
    for candidate in CORPORA.values():
        with suppress(CorpusError):
            return _labelled_as(folder, candidate)
    try:
        return _labelled_as_own(folder, None, {})
    except MissingCorpus:
        raise
    except CorpusError as error:
        raise CorpusError(
            f"{folder}: the files are not named as those of {', '.join(CORPORA)}, and as a "
            f"folder of your own: {error}"
        ) from error


def _labelled_as_own(
    folder: Path, name: str | None, described: Mapping[str, Any]
) -> tuple[str, Labelled, int]:
    own = prepare_own(folder, **described, facts={"title": "folder"})
    return name or "folder", labelled(own.labels), own.left_out


def _labelled_as(folder: Path, corpus: Corpus) -> tuple[str, Labelled, int]:
    recordings = list_recordings(folder, corpus)
    labels = corpus.label(folder, recordings)
    return corpus.name, labels, len(recordings) - len(labels)


def _inflation(folder: Path, table: pd.DataFrame, seed: int) -> Inflation | None:
    """Features of every utterance that has any, and what the two kinds of split make of them."""
    functionals: list[np.ndarray] = []
    usable = np.zeros(len(table), dtype=bool)
    for row, made in enumerate(features_of(folder, table, FeatureParams(), doing="features")):
        if not isinstance(made, AudioError):
            usable[row] = True
            functionals.append(made.functionals.to_numpy())
    if not functionals:
        return None
    try:
        return inflation(
            np.stack(functionals),
            table["emotion"].to_numpy(str)[usable],
            table["speaker"].to_numpy(str)[usable],
            seed=seed,
        )
    except ParamsError:
        # One speaker or one emotion: there is nothing to compare.
        return None


def lines(found: FolderAudit, *, shown: int = 5) -> Sequence[str]:
    """The findings in words."""
    table = found.table
    several = f"{len(table)} utterances in " if len(table) > found.recordings else ""
    of = f"{several}{found.recordings} recordings of {table['speaker'].nunique()} speakers"
    result = [
        f"{of}, {table['duration'].sum() / 60:.1f} min, {table['sentence'].nunique()} sentences, "
        f"read as {found.corpus}."
    ]
    if found.unlabelled:
        result.append(f"{found.unlabelled} have no label by the corpus's own rules.")
    if found.overlaps:
        result.append(
            f"{found.overlaps} segments overlap another of their recording that has another "
            "emotion or speaker."
        )
    result += [f"unreadable: {line}" for line in found.unreadable[:shown]]
    if len(found.unreadable) > shown:
        result.append(f"unreadable: and {len(found.unreadable) - shown} more.")
    for row_a, row_b, kind, similarity in found.copies.head(shown).to_numpy().tolist():
        a, b = table.iloc[row_a], table.iloc[row_b]
        differs = [c for c in ("speaker", "emotion") if a[c] != b[c]]
        but = f", but another {' and '.join(differs)}" if differs else ""
        how = {"bytes": "same bytes", "samples": "same samples"}.get(
            kind, f"similarity {similarity:.2f}"
        )
        result.append(f"copy: {utterance_name(a)} = {utterance_name(b)} ({how}{but})")
    if len(found.copies) > shown:
        result.append(f"copy: and {len(found.copies) - shown} more pairs.")
    if found.copies.empty:
        result.append("No recording is there twice, not even coded or levelled anew.")
    score = found.inflation
    if score:
        result.append(
            f"A random split would claim UAR {score.random:.3f}; speakers never heard give "
            f"{score.apart:.3f}. Inflation {score.gap:+.3f} (chance {score.chance:.3f}, logistic "
            f"regression, {score.folds} folds)."
        )
    return result
