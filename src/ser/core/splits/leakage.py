"""Speakers, recordings and copies of recordings that stand in two splits.

`copies_of` finds recordings that are there twice; `audit` counts what leaks (the receipt that
travels with a model and its scores); `check` refuses splits that leak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.core.splits.copies import find_candidates, repeats
from ser.core.splits.fingerprint import stack
from ser.core.utterance.emotions import classes_of
from ser.core.utterance.names import excluding
from ser.core.utterance.sentences import sentence_overlap, sentence_text, sentence_unknown
from ser.core.utterance.tables import SPLITS, split_sha256, utterance_keys
from ser.errors import LeakageError

#: Similarity (n,) of pairs of row numbers (n, 2) by their samples; NaN where these are two
#: recordings.
Compare = Callable[[np.ndarray], np.ndarray]
#: How many pairs of copies a message names.
SHOWN = 3


@dataclass(frozen=True)
class Audit:
    """What was found.

    receipt : the counts, for JSON.
    shared_speakers : those in test and elsewhere, or in train and dev where these are apart.
    copies : as `copies_of` returns; `leaks` lie in two splits, `two_speakers` under two speakers.
    """

    receipt: dict[str, Any]
    shared_speakers: tuple[str, ...]
    copies: pd.DataFrame
    leaks: pd.DataFrame
    two_speakers: pd.DataFrame


def audit(folds: pd.DataFrame, copies: pd.DataFrame, *, dev_shares_speakers: bool = False) -> Audit:
    """Look for what leaks between the splits of `folds`.

    copies : among the same rows, as `copies_of` returns.
    dev_shares_speakers : train and dev may have a speaker in common, by their protocol.
    """
    leaks = differing(copies, folds, "split")
    two_speakers = differing(copies, folds, "speaker")
    shared_speakers = _shared_speakers(folds, dev_shares_speakers)
    by_split = folds.groupby("split")
    overlap = sentence_overlap(folds)
    receipt = {
        "split_sha256": split_sha256(folds),
        "utterances": _of_each_split(by_split.size()),
        "speakers": _of_each_split(by_split["speaker"].nunique()),
        "shared_speakers": len(shared_speakers),
        "dev_shares_speakers": dev_shares_speakers,
        "copies_across_splits": len(leaks),
        "copies_within_splits": len(copies) - len(leaks),
        "copies_under_two_speakers": len(two_speakers),
        "copies_with_another_label": len(differing(copies, folds, "emotion")),
        "recordings_across_splits": _shared_recordings(folds),
        "sentence_overlap": None if overlap is None else round(overlap, 4),
        "sentence_unknown": round(sentence_unknown(folds), 4),
        "emotions_missing": missing_emotions(folds),
    }
    return Audit(receipt, shared_speakers, copies, leaks, two_speakers)


def differing(copies: pd.DataFrame, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The copies among the rows of `table` that have two values in `column`."""
    values = table[column].to_numpy(str)
    return copies[values[copies["a"]] != values[copies["b"]]]


def check(found: Audit, folds: pd.DataFrame) -> None:
    """Raise LeakageError where a speaker stands in two splits, or a recording in two splits or
    under two speakers: another fold would separate these.
    """
    if found.shared_speakers:
        speaker, *others = found.shared_speakers
        splits = set(folds.loc[folds["speaker"] == speaker, "split"])
        where = " and ".join(s for s in SPLITS if s in splits)
        more = f" (and {len(others)} more)" if others else ""
        raise LeakageError(
            f"Speaker {speaker}{more} stands in {where}; each speaker belongs to one split. "
            "Correct the speaker labels, or the protocol."
        )
    for copies, where in (
        (found.leaks, "One recording under two names stands in two splits"),
        (found.two_speakers, "One recording stands under the names of two speakers"),
    ):
        if not copies.empty:
            raise LeakageError(f"{where}: {_named(copies, folds)}. {_remedy(copies, folds)}")


def copies_of(table: pd.DataFrame, fingerprints: pd.Series, *, compare: Compare) -> pd.DataFrame:
    """Pairs of rows that are one recording: a, b, kind, similarity (0 to 1); a < b, each once.

    fingerprints : of the same rows, bytes or None; they propose pairs, which `compare` decides.
    kind : `bytes`, `samples`, or `alike` for what was coded, levelled or cut anew.
    Exact copies are paired with the first of them, so n copies are n - 1 pairs; alike ones are
    paired with one of each group of exact copies. Two segments of one file are no copies.
    """
    bytes_ = repeats(utterance_keys(table))
    samples = repeats(table["audio_sha256"])
    # Pairs with the same bytes are not paired again by their samples.
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


def missing_emotions(folds: pd.DataFrame) -> dict[str, list[str]]:
    """Emotions that are trained on and that nobody in `dev`, in `test` utters."""
    uttered = {split: set(folds.loc[folds["split"] == split, "emotion"]) for split in SPLITS}
    return {
        split: list(classes_of(uttered["train"] - uttered[split])) if uttered[split] else []
        for split in ("dev", "test")
    }


def warnings(found: Audit, folds: pd.DataFrame) -> list[str]:
    """What is no leak but matters for the scores, a line each."""
    receipt, lines = found.receipt, []
    for split, names in receipt["emotions_missing"].items():
        if names:
            lines.append(
                f"no {split} speaker utters {', '.join(names)}, which "
                f"{'is' if len(names) == 1 else 'are'} trained on: {split} scores leave it out."
            )
    overlap = receipt["sentence_overlap"]
    if overlap is None or overlap > 0:
        effect = "" if overlap is None else ": scores on other texts may be lower"
        lines.append(f"{sentence_text(overlap, receipt['sentence_unknown'])}{effect}.")
    if receipt["dev_shares_speakers"]:
        lines.append("dev shares its speakers with train: dev scores are too high.")
    if shared := receipt["recordings_across_splits"]:
        lines.append(
            f"{shared} recording(s) have segments of test speakers and of others: a model may "
            "recognise their room and microphone."
        )
    within = found.copies.drop(found.leaks.index)
    if len(within):
        lines.append(
            f"{len(within)} recording(s) have a copy in their own split: {_named(within, folds)}."
        )
    if relabelled := receipt["copies_with_another_label"]:
        lines.append(f"{relabelled} copies carry another emotion than their original.")
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


def _of_each_split(counts: pd.Series) -> dict[str, int]:
    return {split: int(counts.get(split, 0)) for split in SPLITS}


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
