"""Look a folder of labelled recordings over before anything is trained on it.

Who speaks how often and with which emotion, which recordings are there twice, which cannot be
read, and by how much a random split would flatter a score on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from ser.core.scores.inflation import Inflation, inflation
from ser.core.utterance.fitness import MENDABLE, UNREADABLE, LeftOut, counted, in_words
from ser.core.utterance.tables import is_known, manifest_table, utterance_name
from ser.corpora.base import Corpus, Labelled
from ser.corpora.catalogue import CORPORA, list_recordings
from ser.corpora.listing import leading_out, list_folder, others_in_words
from ser.corpora.own.segments import count_overlaps
from ser.corpora.own.shelf import CARD_FILE, LABELS_FILE, labelled, own_corpus
from ser.errors import AudioError, CorpusError, DoubledRecordings, MissingCorpus, ParamsError
from ser.io.intake.checksums import SUMS
from ser.io.intake.exclusion import named, not_read
from ser.io.intake.own import prepare_own
from ser.io.storage.copies import find_copies
from ser.output import count_of
from ser.params import FeatureParams
from ser.stages.featurize import features_of
from ser.stages.manifest import needs_of, read_rows, readable

#: Names that say, at least, of which corpus a folder may be.
LOOKED_AT = 100


@dataclass(frozen=True)
class FolderAudit:
    """What was found in a folder.

    table : a manifest of the utterances that are fit for training.
    bad : the others.
    copies : as `find_copies` returns.
    inflation : None where it was not asked for, or there is too little to measure it.
    unmeasured : why it is None though it was asked for.
    notes : what else a person should know of the folder, a line each.
    """

    corpus: str
    table: pd.DataFrame
    unlabelled: int
    bad: tuple[LeftOut, ...]
    copies: pd.DataFrame
    inflation: Inflation | None
    unmeasured: str = ""
    notes: tuple[str, ...] = ()

    @property
    def crossing(self) -> pd.DataFrame:
        """Copies under two speakers: no split by speakers keeps them apart."""
        return self._where("speaker")

    @property
    def relabelled(self) -> pd.DataFrame:
        """Copies under two emotions."""
        return self._where("emotion")

    @property
    def sentences(self) -> int:
        """How many sentences are known to be said."""
        return int(self.table.loc[is_known(self.table["sentence"]), "sentence"].nunique())

    @property
    def recordings(self) -> int:
        return self.table["file"].nunique()

    @property
    def overlaps(self) -> int:
        """Segments that overlap another of their recording with another emotion or speaker."""
        return count_overlaps(self.table)

    @property
    def is_clean(self) -> bool:
        return not self.bad and self.copies.empty

    @property
    def unreadable(self) -> tuple[str, ...]:
        """A line for each recording that does not decode."""
        return tuple(one.why for one in self.bad if one.reason in (*UNREADABLE, *MENDABLE))

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
            "sentences": self.sentences,
            "sentence_unknown": round(1 - float(is_known(table["sentence"]).mean()), 4),
            "unlabelled": self.unlabelled,
            "unreadable": list(self.unreadable),
            "bad": [vars(one) for one in self.bad],
            "notes": list(self.notes),
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

    corpus : whose they are; None: by the labels of `ser corpus add`, else the first corpus whose
        names they all bear, else by their folders.
    described : how a user's own recordings are labelled, as `prepare_own` has it.
    measure : extract features, and score a random split against one by speakers.
    Raises CorpusError where nobody can say what the recordings' labels are.
    """
    notes = list(_links(folder))
    name, labels, unlabelled = label_folder(folder, corpus, described, notes)
    known = not_read(Path(), CORPORA[name], list(labels)) if name in CORPORA else {}
    bad = list(known.values())
    rows = read_rows(
        folder,
        Path(),
        {file: label for file, label in labels.items() if file not in known},
        corpus=name,
        people=name,
        needs=needs_of(FeatureParams()),
    )
    table = manifest_table(readable(rows, bad))
    if table.empty:
        raise CorpusError(
            f"None of {len(labels)} recordings is fit for training ({in_words(counted(bad))}). "
            f"The first: {bad[0].why}"
        )
    score, unmeasured = _inflation(folder, table, seed) if measure else (None, "")
    return FolderAudit(
        corpus=name,
        table=table,
        unlabelled=unlabelled,
        bad=tuple(bad),
        copies=find_copies(folder, table, table["fingerprint"]),
        inflation=score,
        unmeasured=unmeasured,
        notes=tuple(dict.fromkeys(notes)),
    )


def label_folder(
    folder: Path,
    corpus: str | None,
    described: Mapping[str, Any] | None = None,
    notes: list[str] | None = None,
) -> tuple[str, Labelled, int]:
    """The corpus's name, the labels, and how many recordings have none by its own rules.

    notes : gets a line for what was seen on the way.
    """
    notes = [] if notes is None else notes
    if corpus in CORPORA:
        return _labelled_as(folder, CORPORA[corpus], notes)
    if described:
        return _labelled_as_own(folder, corpus, described, notes)
    if (folder / CARD_FILE).is_file() and (folder / LABELS_FILE).is_file():
        return _labelled_as(folder, own_corpus(folder.resolve()), notes)
    if corpus:
        return _labelled_as_own(folder, corpus, {}, notes)
    errors: dict[str, CorpusError] = {}
    for candidate in CORPORA.values():
        try:
            return _labelled_as(folder, candidate, notes)
        except CorpusError as error:
            errors[candidate.name] = error
    try:
        return _labelled_as_own(folder, None, {}, notes)
    except MissingCorpus:
        raise
    except CorpusError as error:
        nearest, named, looked_at = _nearest(folder)
        if nearest is not None:
            raise CorpusError(
                f"{folder} looks like {nearest.name} ({named} of {looked_at} names that were "
                f"looked at are its), but: {errors[nearest.name]} Or describe it as your own with "
                "--table or --pattern."
            ) from errors[nearest.name]
        raise CorpusError(
            f"{folder}: the files are not named as those of {', '.join(CORPORA)}, and as a "
            f"folder of your own: {error}"
        ) from error


def _nearest(folder: Path) -> tuple[Corpus | None, int, int]:
    """The corpus whose names most recordings bear, how many do, and of how many."""
    best: tuple[Corpus | None, int, int] = (None, 0, 0)
    for candidate in CORPORA.values():
        try:
            files = list_recordings(folder, candidate)
        except MissingCorpus:
            continue
        looked_at = files[:: max(1, len(files) // LOOKED_AT)]
        named = sum(_bears_its_name(folder, candidate, file) for file in looked_at)
        if named > best[1]:
            best = candidate, named, len(looked_at)
    return best


def _bears_its_name(folder: Path, corpus: Corpus, file: PurePath) -> bool:
    try:
        corpus.label(folder, [file])
    except CorpusError:
        return False
    return True


def _links(folder: Path) -> Sequence[str]:
    """A line on recordings that are links out of the folder."""
    outside = leading_out(folder, list_folder(folder).recordings)
    if not outside:
        return ()
    return (
        f"{len(outside)} recordings are links to what lies elsewhere, first {outside[0]}: "
        "`ser corpus add` refuses them.",
    )


def _labelled_as_own(
    folder: Path, name: str | None, described: Mapping[str, Any], notes: list[str]
) -> tuple[str, Labelled, int]:
    own = prepare_own(folder, **described, facts={"title": "folder"})
    notes += own.notes
    return name or "folder", labelled(own.labels), own.left_out


def _labelled_as(folder: Path, corpus: Corpus, notes: list[str]) -> tuple[str, Labelled, int]:
    recordings = list_recordings(folder, corpus)
    labels = _with_copies(folder, corpus, recordings, notes)
    ours = (LABELS_FILE, CARD_FILE, SUMS)
    others = list_folder(folder, aside=lambda path: str(path) in ours).others
    notes += filter(None, [others_in_words(others)])
    return corpus.name, labels, len(recordings) - len(labels)


def _with_copies(
    folder: Path, corpus: Corpus, recordings: Sequence[PurePath], notes: list[str]
) -> Labelled:
    """Labels of all, also of those that are there twice: copies are what an audit looks for."""
    try:
        return corpus.label(folder, recordings)
    except DoubledRecordings as error:
        again = {copy for _, copy in error.pairs}
        notes.append(
            f"{len(again)} recordings stand twice by their names, first {error.pairs[0][0]} and "
            f"{error.pairs[0][1]}: `ser corpus add` takes one of each if their bytes are the same."
        )
        once = corpus.label(folder, [file for file in recordings if file not in again])
        copies = _with_copies(folder, corpus, [f for f in recordings if f in again], notes)
        return {**once, **copies}


def _inflation(folder: Path, table: pd.DataFrame, seed: int) -> tuple[Inflation | None, str]:
    """What the two kinds of split make of the utterances' features, or why that is not known."""
    made = list(features_of(folder, table, FeatureParams(), doing="features"))
    usable = np.array([not isinstance(one, AudioError) for one in made])
    if not usable.any():
        return None, "no recording has features"
    functionals = [f.functionals.to_numpy() for f in made if not isinstance(f, AudioError)]
    try:
        score = inflation(
            np.stack(functionals),
            table["emotion"].to_numpy(str)[usable],
            table["speaker"].to_numpy(str)[usable],
            seed=seed,
        )
    except ParamsError as error:
        return None, str(error)
    return score, ""


def lines(found: FolderAudit, *, shown: int = 5) -> Sequence[str]:
    """The findings in words."""
    table = found.table
    several = f"{len(table)} utterances in " if len(table) > found.recordings else ""
    recordings = count_of(found.recordings, "recording")
    of = f"{several}{recordings} of {count_of(table['speaker'].nunique(), 'speaker')}"
    unknown = int((~is_known(table["sentence"])).sum())
    sentences = count_of(found.sentences, "sentence") if found.sentences else "sentences unknown"
    if found.sentences and unknown:
        sentences += f" ({count_of(unknown, 'utterance')} without one)"
    result = [f"{of}, {table['duration'].sum() / 60:.1f} min, {sentences}, read as {found.corpus}."]
    result += [f"note: {line}" for line in found.notes]
    if found.unlabelled:
        result.append(f"{found.unlabelled} have no label by the corpus's own rules.")
    if found.overlaps:
        result.append(
            f"{found.overlaps} segments overlap another of their recording that has another "
            "emotion or speaker."
        )
    if found.bad:
        result.append(f"Unfit for training: {in_words(counted(found.bad))}.")
    result += named(found.bad, shown=shown)
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
    if found.unmeasured:
        result.append(f"What a random split would claim is not known: {found.unmeasured}")
    score = found.inflation
    if score:
        result.append(
            f"A random split would claim UAR {score.random:.3f}; unseen speakers give "
            f"{score.apart:.3f}. Inflation {score.gap:+.3f} (chance {score.chance:.3f}, logistic "
            f"regression, {score.folds} folds)."
        )
    return result
