"""An audit of a folder of labelled recordings, before anything is trained on them.

It counts utterances, speakers and emotions, finds copies and unfit recordings, and measures how
much a random split would inflate a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from ser.core.scores.inflation import Inflation, inflation
from ser.core.splits.leakage import differing
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

#: How many file names are compared with those of a corpus to see whether a folder may hold it.
LOOKED_AT = 100
#: Seed of the random split and of the speaker-disjoint one.
SEED = 7
#: How many copies and unfit recordings are named.
SHOWN = 5


@dataclass(frozen=True)
class FolderAudit:
    """What was found in a folder.

    table : a manifest of the utterances that are fit for training; bad : the others.
    unlabelled : how many recordings have no label by the corpus's own rules.
    copies : as `find_copies` returns.
    inflation : None if not measured; `unmeasured` then has the reason, if it should have been.
    notes : other findings, a line each.
    """

    corpus: str
    table: pd.DataFrame
    unlabelled: int
    bad: tuple[LeftOut, ...]
    copies: pd.DataFrame
    inflation: Inflation | None
    unmeasured: str
    notes: tuple[str, ...]

    @property
    def crossing(self) -> pd.DataFrame:
        """Copies under two speakers: no split by speakers separates them."""
        return differing(self.copies, self.table, "speaker")

    @property
    def relabelled(self) -> pd.DataFrame:
        """Copies under two emotions."""
        return differing(self.copies, self.table, "emotion")

    @property
    def sentences(self) -> int:
        """Number of known sentences."""
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
        """A line for each recording that cannot be decoded."""
        return tuple(one.why for one in self.bad if one.reason in (*UNREADABLE, *MENDABLE))

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
    measure: bool = True,
) -> FolderAudit:
    """Audit the recordings under `folder`.

    corpus : name of their corpus; None: by the labels of `ser corpus add`, else the first corpus
        that all their names fit, else by their folders.
    described : how a user's own recordings are labelled, as `prepare_own` takes it.
    measure : extract features, and score a random split against one by speakers.
    Raises CorpusError where the labels cannot be determined, or no recording is fit.
    """
    notes: list[str] = []
    if outside := leading_out(folder, list_folder(folder).recordings):
        notes.append(
            f"{len(outside)} recordings are links out of the folder, first {outside[0]}: "
            "`ser corpus add` refuses them."
        )
    name, labels, unlabelled = label_folder(folder, corpus, described or {}, notes)
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
    score, unmeasured = _inflation(folder, table) if measure else (None, "")
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
    folder: Path, corpus: str | None, described: Mapping[str, Any], notes: list[str]
) -> tuple[str, Labelled, int]:
    """The corpus's name, the labels, and how many recordings have none by its own rules.

    notes : gets a line for each other finding.
    """
    if corpus in CORPORA:
        return _labelled_as(folder, CORPORA[corpus], notes)
    if not described and all((folder / name).is_file() for name in (CARD_FILE, LABELS_FILE)):
        return _labelled_as(folder, own_corpus(folder.resolve()), notes)
    if described or corpus:
        return _labelled_as_own(folder, corpus or "folder", described, notes)
    errors: dict[str, CorpusError] = {}
    for candidate in CORPORA.values():
        try:
            return _labelled_as(folder, candidate, notes)
        except CorpusError as error:
            errors[candidate.name] = error
    try:
        return _labelled_as_own(folder, "folder", {}, notes)
    except MissingCorpus:
        raise
    except CorpusError as error:
        nearest, fitting, looked_at = _nearest(folder)
        if nearest is None:
            raise CorpusError(
                f"{folder}: the files are not named as those of {', '.join(CORPORA)}, and as a "
                f"folder of your own: {error}"
            ) from error
        raise CorpusError(
            f"{folder} looks like {nearest} ({fitting} of {looked_at} names that were compared "
            f"fit), but: {errors[nearest]} Or describe it as your own with --table or --pattern."
        ) from errors[nearest]


def _nearest(folder: Path) -> tuple[str | None, int, int]:
    """The corpus whose names most recordings have, how many have, and of how many."""
    best: tuple[str | None, int, int] = (None, 0, 0)
    for candidate in CORPORA.values():
        try:
            files = list_recordings(folder, candidate)
        except MissingCorpus:
            continue
        looked_at = files[:: max(1, len(files) // LOOKED_AT)]
        fitting = sum(_has_its_name(folder, candidate, file) for file in looked_at)
        if fitting > best[1]:
            best = candidate.name, fitting, len(looked_at)
    return best


def _has_its_name(folder: Path, corpus: Corpus, file: PurePath) -> bool:
    try:
        corpus.label(folder, [file])
    except CorpusError:
        return False
    return True


def _labelled_as_own(
    folder: Path, name: str, described: Mapping[str, Any], notes: list[str]
) -> tuple[str, Labelled, int]:
    own = prepare_own(folder, **described, facts={"title": "folder"})
    notes += own.notes
    return name, labelled(own.labels), own.left_out


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
    """Labels of all recordings, copies included, which an audit looks for."""
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


def _inflation(folder: Path, table: pd.DataFrame) -> tuple[Inflation | None, str]:
    """Scores of the two kinds of split, or why there are none."""
    made = list(features_of(folder, table, FeatureParams(), doing="features"))
    usable = np.array([not isinstance(one, AudioError) for one in made])
    if not usable.any():
        return None, "no recording has features"
    functionals = [f.functionals.to_numpy() for f in made if not isinstance(f, AudioError)]
    emotion, speaker = (table[name].to_numpy(str)[usable] for name in ("emotion", "speaker"))
    try:
        return inflation(np.stack(functionals), emotion, speaker, seed=SEED), ""
    except ParamsError as error:
        return None, str(error)


def lines(found: FolderAudit) -> list[str]:
    """The findings in words."""
    table = found.table
    recordings = count_of(found.recordings, "recording")
    if len(table) > found.recordings:
        recordings = f"{len(table)} utterances in {recordings}"
    speakers = count_of(table["speaker"].nunique(), "speaker")
    minutes = table["duration"].sum() / 60
    unknown = int((~is_known(table["sentence"])).sum())
    sentences = count_of(found.sentences, "sentence") if found.sentences else "sentences unknown"
    if found.sentences and unknown:
        sentences += f" ({count_of(unknown, 'utterance')} without one)"
    result = [
        f"{recordings} of {speakers}, {minutes:.1f} min, {sentences}, read as {found.corpus}."
    ]
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
    result += named(found.bad, shown=SHOWN)
    for row_a, row_b, kind, similarity in found.copies.head(SHOWN).to_numpy().tolist():
        a, b = table.iloc[row_a], table.iloc[row_b]
        differs = [c for c in ("speaker", "emotion") if a[c] != b[c]]
        but = f", but another {' and '.join(differs)}" if differs else ""
        how = {"bytes": "same bytes", "samples": "same samples"}.get(
            kind, f"similarity {similarity:.2f}"
        )
        result.append(f"copy: {utterance_name(a)} = {utterance_name(b)} ({how}{but})")
    if len(found.copies) > SHOWN:
        result.append(f"copy: and {len(found.copies) - SHOWN} more pairs.")
    if found.copies.empty:
        result.append("No recording is there twice, not even coded or levelled anew.")
    if found.unmeasured:
        result.append(f"What a random split would claim is not known: {found.unmeasured}")
    if score := found.inflation:
        result.append(
            f"A random split would claim UAR {score.random:.3f}; unseen speakers give "
            f"{score.apart:.3f}. Inflation {score.gap:+.3f} (chance {score.chance:.3f}, logistic "
            f"regression, {score.folds} folds)."
        )
    return result
