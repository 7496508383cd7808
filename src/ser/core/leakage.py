"""What must not be in two splits, and is: speakers, recordings, copies of recordings.

`audit` looks, and says what it counted (the receipt that travels with a model and its scores);
`check` refuses splits that leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.core.copies import find_copies
from ser.core.tables import CHUNK, SPLITS, split_sha256, utterance_keys, utterance_name
from ser.errors import LeakageError

#: How many pairs of copies a message or a receipt names.
SHOWN = 5


@dataclass(frozen=True)
class Audit:
    """What was found.

    utterances, speakers : of each split.
    shared_speakers : those in test and elsewhere, or in train and dev where these are apart.
    copies : pairs of one recording under two names: a, b (row numbers), kind (`bytes`,
        `samples` or `fingerprint`), similarity (0 to 1).
    leaks : those of `copies` that lie in two splits.
    relabelled : how many copies carry another emotion than their original.
    shared_recordings : how many recordings have segments in test and elsewhere.
    sentence_overlap : share of test utterances whose sentence is also trained on.
    """

    utterances: dict[str, int]
    speakers: dict[str, int]
    shared_speakers: tuple[str, ...]
    copies: pd.DataFrame
    leaks: pd.DataFrame
    relabelled: int
    shared_recordings: int
    sentence_overlap: float
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
            "copies_with_another_label": self.relabelled,
            "recordings_across_splits": self.shared_recordings,
            "sentence_overlap": round(self.sentence_overlap, 4),
        }


def audit(
    folds: pd.DataFrame, fingerprints: pd.Series, *, dev_shares_speakers: bool = False
) -> Audit:
    """Look for what leaks between the splits of `folds`.

    fingerprints : of the same rows, bytes or None.
    dev_shares_speakers : train and dev may have a speaker in common, by their protocol.
    """
    split = folds["split"].to_numpy(str)
    copies = copies_of(folds, fingerprints)
    a, b = copies["a"].to_numpy(), copies["b"].to_numpy()
    emotion = folds["emotion"].to_numpy(str)
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
        relabelled=int((emotion[a] != emotion[b]).sum()),
        shared_recordings=_shared_recordings(folds),
        sentence_overlap=sentence_overlap(folds),
        dev_shares_speakers=dev_shares_speakers,
        split_sha256=split_sha256(folds),
    )


def check(found: Audit, folds: pd.DataFrame) -> None:
    """Raise LeakageError where a speaker or a recording stands in more than one split."""
    if found.shared_speakers:
        speaker = found.shared_speakers[0]
        heard = set(folds.loc[folds["speaker"] == speaker, "split"])
        where = " and ".join(s for s in SPLITS if s in heard)
        raise LeakageError(
            f"Speaker {speaker}{_more(found.shared_speakers)} stands in {where}; each speaker "
            "belongs to one split. Mend the speaker labels, or the protocol."
        )
    if not found.leaks.empty:
        first = found.leaks.iloc[0]
        where = " and ".join(
            f"{utterance_name(folds.iloc[row])} ({folds['split'].iloc[row]})"
            for row in (first["a"], first["b"])
        )
        likeness = {
            "bytes": "are the same file",
            "samples": "hold the same samples",
            "fingerprint": f"sound the same (similarity {first['similarity']:.2f})",
        }[first["kind"]]
        raise LeakageError(
            f"One recording under two names stands in two splits: {where} {likeness}"
            f"{_more(found.leaks)}. Remove a copy, or give both the same speaker."
        )


def copies_of(table: pd.DataFrame, fingerprints: pd.Series) -> pd.DataFrame:
    """Pairs of rows that are one recording: a, b, kind, similarity; a < b, each pair once.

    Exact copies are paired with their first occurrence, so n copies are n - 1 pairs; so are
    copies by fingerprint with one of each group of exact ones.
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
    alike = find_copies(stack(fingerprints.iloc[rows]))
    alike = pd.DataFrame(
        {
            "a": rows[alike["a"].to_numpy()],
            "b": rows[alike["b"].to_numpy()],
            "kind": "fingerprint",
            "similarity": alike["similarity"].to_numpy(),
        }
    )
    return pd.concat([exact, alike], ignore_index=True)


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


def sentence_overlap(folds: pd.DataFrame) -> float:
    """Share of test utterances whose sentence, in the same corpus, is also trained on."""
    sentence = folds["corpus"] + "/" + folds["sentence"]
    test = sentence[folds["split"] == "test"]
    trained = sentence[folds["split"] == "train"].unique()
    return float(test.isin(trained).mean()) if len(test) else 0.0


def warnings(found: Audit) -> list[str]:
    """What is no leak, but should be known, a line each."""
    lines = []
    if found.sentence_overlap > 0:
        lines.append(
            f"{found.sentence_overlap:.0%} of the test utterances say a sentence that is also "
            "trained on: scores on other texts may be lower."
        )
    if found.dev_shares_speakers:
        lines.append("dev shares its speakers with train: dev scores are flattering.")
    if found.shared_recordings:
        lines.append(
            f"{found.shared_recordings} recording(s) have segments of test speakers and of others: "
            "a model may recognise their room and microphone."
        )
    within = len(found.copies) - len(found.leaks)
    if within:
        lines.append(f"{within} recording(s) have a copy in their own split.")
    if found.relabelled:
        lines.append(f"{found.relabelled} copies carry another emotion than their original.")
    return lines


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


def _more(found: tuple[str, ...] | pd.DataFrame) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
