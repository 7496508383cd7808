"""Column names of the tables that travel through the pipeline, and checks of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ser.core.utterance.emotions import check_emotions
from ser.core.utterance.names import doubtful, pair
from ser.core.utterance.segments import WHOLE, Segment
from ser.errors import TableError

#: One utterance is one row. `file` is relative to the project's root; `start`, `end` and
#: `duration` are seconds; `whole` is False for a segment of a longer recording; `speaker` is
#: unique over corpora, as in ravdess/03; `sha256` is of the file's bytes, `audio_sha256` of the
#: utterance's decoded samples; `fingerprint` (bytes, or None for silence) is alike in copies that
#: were coded or levelled anew.
MANIFEST = (
    "file",
    "start",
    "end",
    "whole",
    "corpus",
    "speaker",
    "sex",
    "emotion",
    "intensity",
    "sentence",
    "duration",
    "sha256",
    "audio_sha256",
    "fingerprint",
)
#: Sex or sentence where the corpus names none.
UNKNOWN = "unknown"
FOLDS = (*(column for column in MANIFEST if column != "fingerprint"), "split", "fold")
#: Bytes in one buffer, not an object each.
BINARY = pd.ArrowDtype(pa.binary())
#: Rows that are held as Python objects at a time.
CHUNK = 20_000
SPLITS = ("train", "dev", "test")
PREDICTIONS = (
    *("corpus", "file", "start", "end"),
    *("speaker", "sex", "split", "emotion", "predicted"),
)


def manifest_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A manifest from its rows, converted piece by piece: a million fit into memory."""
    remaining = iter(rows)
    chunks = iter(lambda: list(itertools.islice(remaining, CHUNK)), [])
    parts = [
        pd.DataFrame(chunk, columns=list(MANIFEST)).astype({"fingerprint": BINARY})
        for chunk in chunks
    ]
    return pd.concat(parts or [pd.DataFrame(columns=list(MANIFEST))], ignore_index=True)


def check_manifest(table: pd.DataFrame, name: str = "manifest") -> None:
    """Raise TableError unless `table` has the manifest's columns and one row an utterance."""
    _check_columns(table, MANIFEST, name)
    if table.empty:
        raise TableError(f"{name} has no rows; at least one utterance is needed.")
    check_emotions(table["emotion"])
    twice = table[table.duplicated(["file", "start", "end"])]
    if not twice.empty:
        first = utterance_name(twice.iloc[0])
        raise TableError(f"{name} lists {first} more than once; list each utterance once.")
    _check_speakers(table["speaker"], name)
    if not (table["duration"] > 0).all():
        first = utterance_name(table[~(table["duration"] > 0)].iloc[0])
        raise TableError(f"{name}: {first} has no duration; remove it or repair the file.")


def _check_speakers(speakers: pd.Series, name: str) -> None:
    """Raise TableError where one person may stand under two spellings, and so in two splits."""
    of_people: dict[str, list[str]] = {}
    for speaker in speakers.unique():
        people, _, one = str(speaker).partition("/")
        of_people.setdefault(people, []).append(one)
    for people, names in of_people.items():
        if pairs := doubtful(names):
            more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
            raise TableError(
                f"{name}: speakers {pair(*pairs[0])} of {people} differ by spelling alone{more}; "
                f"each person needs one name. `ser corpus remove {people}`, then add it again: "
                "that asks which are one."
            )


def check_folds(table: pd.DataFrame) -> None:
    """Raise TableError unless `table` is a manifest whose rows each belong to a split."""
    _check_columns(table, FOLDS, "folds")
    unknown = set(table["split"]) - set(SPLITS)
    if unknown:
        raise TableError(f"folds name the split {unknown.pop()!r}; known are {', '.join(SPLITS)}.")


def check_predictions(table: pd.DataFrame) -> None:
    """Raise TableError unless `table` has the predictions' columns and posteriors."""
    _check_columns(table, PREDICTIONS, "predictions")
    if not posterior_columns(table):
        raise TableError("predictions have no p_<emotion> column; score the model again.")


def _check_columns(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise TableError(
            f"{name} lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            "Make it again with `dvc repro`."
        )


def is_known(labels: pd.Series) -> pd.Series:
    """Whether each sex or sentence, (n,), is known."""
    return labels.notna() & ~labels.isin(["", UNKNOWN])


def posterior_columns(table: pd.DataFrame) -> list[str]:
    """The columns `p_<emotion>`, in the table's order."""
    return [c for c in table.columns if str(c).startswith("p_")]


def utterance_keys(table: pd.DataFrame) -> pd.Series:
    """What each utterance is stored under: the file's SHA-256; of a segment, with its bounds.

    A table without `whole` holds whole recordings. Bounds are in seconds; microseconds keep
    neighbouring samples apart up to 500 kHz.
    """
    keys = table["sha256"].astype(object)
    if "whole" not in table:
        return keys
    part = ~table["whole"].to_numpy(bool)
    keys[part] = [
        f"{sha256}:{start:.6f}-{end:.6f}"
        for sha256, start, end in table.loc[part, ["sha256", "start", "end"]].itertuples(
            index=False
        )
    ]
    return keys


def segments_of(table: pd.DataFrame) -> list[Segment]:
    """The segment of each utterance of a manifest, see `utterance_keys`."""
    if "whole" not in table:
        return [WHOLE] * len(table)
    columns = (table[name] for name in ("start", "end", "whole"))
    return [
        WHOLE if whole else Segment(start, end) for start, end, whole in zip(*columns, strict=True)
    ]


def utterance_name(row: pd.Series) -> str:
    """A manifest's row as messages name it: its file, and for a segment its bounds."""
    segment = WHOLE if row.get("whole", True) else Segment(row["start"], row["end"])
    return segment.of(str(row["file"]))


def split_sha256(folds: pd.DataFrame) -> str:
    """Hash of a split: each utterance's key with its label and split.

    Independent of row order and file names, so two checkouts of one corpus agree.
    """
    lines = utterance_keys(folds) + " " + folds["emotion"] + " " + folds["split"]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def predictions_table(
    utterances: pd.DataFrame, posteriors: np.ndarray, classes: tuple[str, ...]
) -> pd.DataFrame:
    """Join utterances with their posteriors, (n_utterances, n_classes), and the best class."""
    table = utterances[[c for c in PREDICTIONS if c != "predicted"]].reset_index(drop=True)
    table["predicted"] = np.asarray(classes)[posteriors.argmax(axis=1)]
    return table.join(pd.DataFrame(posteriors, columns=[f"p_{name}" for name in classes]))
