"""What must not be in two splits, and is: speakers, recordings, copies of recordings.

`copies_of` finds recordings that are there twice; `audit` looks at a split, and says what it
counted (the receipt that travels with a model and its scores); `check` refuses splits that leak.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.core.splits.copies import find_candidates
from ser.core.utterance.emotions import classes_of
from ser.core.utterance.names import excluding
from ser.core.utterance.sentences import sentence_overlap, sentence_text, sentence_unknown
from ser.core.utterance.tables import CHUNK, SPLITS, split_sha256, utterance_keys
from ser.errors import LeakageError

#: Similarity (n,) of pairs of row numbers (n, 2), by their samples; NaN where these are two
#: recordings.
Compare = Callable[[np.ndarray], np.ndarray]
#: How many pairs of copies a message names.
SHOWN = 3


@dataclass(frozen=True)
class Audit:
    """What was found.

    utterances, speakers : of each split.
    shared_speakers : those in test and elsewhere, or in train and dev where these are apart.
    copies : as `copies_of` returns.
    leaks : those of `copies` that lie in two splits.
    two_speakers : those of `copies` that lie under two speakers.
    relabelled : how many copies carry another emotion than their original.
    shared_recordings : how many recordings have segments in test and elsewhere.
    sentence_overlap : share of the test utterances with a known sentence whose sentence is also
        trained on; None where none is known in test or in train.
    sentence_unknown : share of the train and test utterances whose sentence is not known.
    missing : emotions that are trained on and that no speaker of `dev`, of `test` utters.
    """

    utterances: dict[str, int]
    speakers: dict[str, int]
    shared_speakers: tuple[str, ...]
    copies: pd.DataFrame
    leaks: pd.DataFrame
    two_speakers: pd.DataFrame
    relabelled: int
    shared_recordings: int
    sentence_overlap: float | None
    sentence_unknown: float
    missing: dict[str, tuple[str, ...]]
    dev_shares_speakers: bool
    split_sha256: str

    @property
    def receipt(self) -> dict[str, Any]:
        """The counts, for JSON."""
        return {
            "split_sha256": self.split_sha256,
            "utterances": self.utterances,
            "speakers": self.speakers,
            "shared_speakers": len(self.shared_speakers),
            "dev_shares_speakers": self.dev_shares_speakers,
            "copies_across_splits": len(self.leaks),
            "copies_within_splits": len(self.copies) - len(self.leaks),
            "copies_under_two_speakers": len(self.two_speakers),
            "copies_with_another_label": self.relabelled,
            "recordings_across_splits": self.shared_recordings,
            "sentence_overlap": None
            if self.sentence_overlap is None
            else round(self.sentence_overlap, 4),
            "sentence_unknown": round(self.sentence_unknown, 4),
            "emotions_missing": {split: list(names) for split, names in self.missing.items()},
        }


def audit(folds: pd.DataFrame, copies: pd.DataFrame, *, dev_shares_speakers: bool = False) -> Audit:
    """Look for what leaks between the splits of `folds`.

    copies : among the same rows, as `copies_of` returns.
    dev_shares_speakers : train and dev may have a speaker in common, by their protocol.
    """
    split = folds["split"].to_numpy(str)
    a, b = copies["a"].to_numpy(), copies["b"].to_numpy()
    emotion, speaker = folds["emotion"].to_numpy(str), folds["speaker"].to_numpy(str)
    counts = folds.groupby("split").agg(
        utterances=("file", "size"), speakers=("speaker", "nunique")
    )
    counts = counts.reindex(list(SPLITS), fill_value=0)
    return Audit(
        utterances={str(name): int(n) for name, n in counts["utterances"].items()},
        speakers={str(name): int(n) for name, n in counts["speakers"].items()},
        shared_speakers=_shared_speakers(folds, dev_shares_speakers),
        copies=copies,
        leaks=copies[split[a] != split[b]],
        two_speakers=copies[speaker[a] != speaker[b]],
        relabelled=int((emotion[a] != emotion[b]).sum()),
        shared_recordings=_shared_recordings(folds),
        sentence_overlap=sentence_overlap(folds),
        sentence_unknown=sentence_unknown(folds),
        missing=missing_emotions(folds),
        dev_shares_speakers=dev_shares_speakers,
        split_sha256=split_sha256(folds),
    )


def check(found: Audit, folds: pd.DataFrame) -> None:
    """Raise LeakageError where a speaker stands in two splits, or a recording in two splits or
    under two speakers: another fold would put these apart.
    """
    if found.shared_speakers:
        speaker = found.shared_speakers[0]
        splits = set(folds.loc[folds["speaker"] == speaker, "split"])
        where = " and ".join(s for s in SPLITS if s in splits)
        raise LeakageError(
            f"Speaker {speaker}{_more(found.shared_speakers)} stands in {where}; each speaker "
            "belongs to one split. Mend the speaker labels, or the protocol."
        )
    if not found.leaks.empty:
        raise LeakageError(
            f"One recording under two names stands in two splits: {_named(found.leaks, folds)}. "
            f"{_remedy(found.leaks, folds)}"
        )
    if not found.two_speakers.empty:
        raise LeakageError(
            "One recording stands under the names of two speakers: "
            f"{_named(found.two_speakers, folds)}. {_remedy(found.two_speakers, folds)}"
        )


def copies_of(table: pd.DataFrame, fingerprints: pd.Series, *, compare: Compare) -> pd.DataFrame:
    """Pairs of rows that are one recording: a, b, kind, similarity (0 to 1); a < b, each once.

    fingerprints : of the same rows, bytes or None; they propose pairs, which `compare` decides.
    kind : `bytes`, `samples`, or `alike` for what was coded, levelled or cut anew.
    Exact copies are paired with their first occurrence, so n copies are n - 1 pairs; so are
    alike ones with one of each group of exact ones. Two segments of one file are no copies.
    """
    bytes_ = _repeated(utterance_keys(table))
    samples = _repeated(table["audio_sha256"])
    # What is already paired by its bytes is not paired again by its samples.
    samples = samples[~samples["b"].isin(bytes_["b"])]
    exact = pd.concat([bytes_.assign(kind="bytes"), samples.assign(kind="samples")])
    exact["similarity"] = 1.0
    known = fingerprints.notna().to_numpy(copy=True)
    known[exact["b"].to_numpy()] = False
    rows = np.flatnonzero(known)
    pairs = rows[find_candidates(stack(fingerprints.iloc[rows]))[["a", "b"]].to_numpy()]
    file = table["sha256"].to_numpy(str)
    pairs = pairs[file[pairs[:, 0]] != file[pairs[:, 1]]]
    similarity = compare(pairs)
    alike = pd.DataFrame(
        {"a": pairs[:, 0], "b": pairs[:, 1], "kind": "alike", "similarity": similarity}
    )
    return pd.concat([exact, alike[~np.isnan(similarity)]], ignore_index=True)


def stack(fingerprints: pd.Series) -> np.ndarray:
    """Fingerprints as one array, uint8 (n, LENGTH)."""
    if fingerprints.empty:
        return np.empty((0, 1), dtype=np.uint8)
    result = np.empty((len(fingerprints), len(fingerprints.iloc[0])), dtype=np.uint8)
    # Piece by piece: as Python objects a million of them would fill the memory.
    for start in range(0, len(result), CHUNK):
        joined = b"".join(fingerprints.iloc[start : start + CHUNK])
        result[start : start + CHUNK] = np.frombuffer(joined, np.uint8).reshape(-1, result.shape[1])
    return result


def missing_emotions(folds: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Emotions that are trained on and that nobody in `dev`, in `test` utters."""
    uttered = {split: set(folds.loc[folds["split"] == split, "emotion"]) for split in SPLITS}
    return {
        split: classes_of(uttered["train"] - uttered[split]) if uttered[split] else ()
        for split in ("dev", "test")
    }


def warnings(found: Audit, folds: pd.DataFrame) -> list[str]:
    """What is no leak, but should be known, a line each."""
    lines = []
    for split, names in found.missing.items():
        if names:
            lines.append(
                f"no {split} speaker utters {', '.join(names)}, which "
                f"{'is' if len(names) == 1 else 'are'} trained on: {split} scores leave it out."
            )
    if found.sentence_overlap is None or found.sentence_overlap > 0:
        text = sentence_text(found.sentence_overlap, found.sentence_unknown)
        known = found.sentence_overlap is not None
        lines.append(f"{text}{': scores on other texts may be lower' if known else ''}.")
    if found.dev_shares_speakers:
        lines.append("dev shares its speakers with train: dev scores are flattering.")
    if found.shared_recordings:
        lines.append(
            f"{found.shared_recordings} recording(s) have segments of test speakers and of others: "
            "a model may recognise their room and microphone."
        )
    within = found.copies.drop(found.leaks.index)
    if len(within):
        lines.append(
            f"{len(within)} recording(s) have a copy in their own split: {_named(within, folds)}."
        )
    if found.relabelled:
        lines.append(f"{found.relabelled} copies carry another emotion than their original.")
    return lines


def _named(copies: pd.DataFrame, folds: pd.DataFrame) -> str:
    """The first pairs by their files, and why each is one recording."""
    pairs = []
    for row_a, row_b, kind, similarity in copies.head(SHOWN).to_numpy().tolist():
        a, b = folds.iloc[row_a], folds.iloc[row_b]
        two = a["speaker"] != b["speaker"]
        a_name, b_name = (
            f"{row['file']} ({row['split']}{', speaker ' + row['speaker'] if two else ''})"
            for row in (a, b)
        )
        why = {
            "bytes": "are the same file",
            "samples": "hold the same samples",
            "alike": f"sound the same (similarity {similarity:.2f})",
        }[kind]
        pairs.append(f"{a_name} and {b_name} {why}")
    rest = len(copies) - len(pairs)
    return "; ".join(pairs) + (f"; and {rest} more pair(s)" if rest else "")


def _remedy(copies: pd.DataFrame, folds: pd.DataFrame) -> str:
    first = copies.iloc[0]
    a, b = folds.iloc[first["a"]], folds.iloc[first["b"]]
    leave = f"Leave one out: in params.yaml, below data, put {excluding([b['file']])}"
    if a["speaker"] == b["speaker"]:
        return f"{leave}."
    return f"{leave}; or correct the labels so that both have the same speaker."


def _shared_speakers(folds: pd.DataFrame, dev_shares_speakers: bool) -> tuple[str, ...]:
    group = folds["split"]
    if dev_shares_speakers:
        group = group.replace({"dev": "train"})
    pairs = pd.DataFrame({"speaker": folds["speaker"], "group": group}).drop_duplicates()
    twice = pairs.loc[pairs["speaker"].duplicated(), "speaker"]
    return tuple(sorted(set(twice)))


def _shared_recordings(folds: pd.DataFrame) -> int:
    in_test = pd.DataFrame({"sha256": folds["sha256"], "in_test": folds["split"] == "test"})
    return int(in_test.drop_duplicates()["sha256"].duplicated().sum())


def _repeated(hashes: pd.Series) -> pd.DataFrame:
    """Rows b whose hash stood before, with the first row a that has it."""
    codes, _ = pd.factorize(hashes)
    rows = np.arange(len(codes))
    first = np.full(codes.max(initial=-1) + 1, -1)
    # Assigned from the last to the first, so that the first stays.
    first[codes[::-1]] = rows[::-1]
    later = first[codes] != rows
    return pd.DataFrame({"a": first[codes][later], "b": rows[later]})


def _more(found: Sequence[str]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
