"""A user's own recordings into data/raw, with the files that make them a corpus.

`prepare_own` reads and decides, `add_own` lets them in as any other corpus; a corpus that is there
grows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from ser.corpora.base import is_audio
from ser.corpora.folder import OPTIONAL, REQUIRED, label_recordings
from ser.corpora.own import (
    CARD_FILE,
    LABELS_FILE,
    Card,
    listed_corpus,
    parse_card,
    read_labels,
    read_yaml,
)
from ser.corpora.segments import (
    SEGMENT,
    count_overlaps,
    segments_in,
    with_segments,
    without_empty,
)
from ser.errors import AudioError, CorpusError, MissingCorpus
from ser.io.audio import LONG, read_recording
from ser.io.ingest import Ingested, ingest


@dataclass(frozen=True)
class OwnCorpus:
    """What is about to be added.

    labels : one row an utterance of the recordings to copy, see `label_recordings`.
    left_out : recordings of the folder that are dropped or not listed.
    dropped : rows of the user's table that are dropped.
    ignored : columns of the user's table that mean nothing here.
    """

    labels: pd.DataFrame
    card: Card
    left_out: int
    ignored: tuple[str, ...]
    dropped: int = 0

    @property
    def has_segments(self) -> bool:
        return "start" in self.labels

    @property
    def recordings(self) -> int:
        return self.labels["file"].nunique()

    @property
    def overlaps(self) -> int:
        """Segments that overlap another of their recording with another emotion or speaker."""
        return count_overlaps(self.labels)

    @property
    def files(self) -> dict[str, bytes]:
        """name -> content of the files that stand beside the recordings."""
        card = yaml.safe_dump(
            self.card.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        )
        labels = self.labels.to_csv(index=False, lineterminator="\n")
        return {LABELS_FILE: labels.encode(), CARD_FILE: card.encode()}


def prepare_own(
    source: Path,
    *,
    table: Path | None = None,
    mapping: Path | None = None,
    speaker_pattern: str | None = None,
    drop_unlisted: bool = False,
    facts: Mapping[str, Any],
) -> OwnCorpus:
    """Label the recordings under `source`; nothing is written.

    table : CSV or Parquet, mapping : YAML, the others as `label_recordings` has them.
    facts : title, licence, citation, homepage, languages of the card.
    Raises MissingCorpus, UnknownEmotion or CorpusError.
    """
    recordings = _recordings(source)
    listed = None if table is None else read_label_table(table)
    labels = label_recordings(
        recordings,
        table=listed,
        mapping=None if mapping is None else read_mapping(mapping),
        speaker_pattern=speaker_pattern,
        drop_unlisted=drop_unlisted,
        seconds_of=_lengths(source),
    )
    words = dict(sorted(zip(labels["label"], labels["emotion"], strict=True)))
    card = parse_card({**facts, "mapping": words}, "The corpus's facts")
    return OwnCorpus(
        labels=labels,
        card=card,
        left_out=len(recordings) - labels["file"].nunique(),
        dropped=0 if listed is None else len(listed) - len(labels),
        ignored=()
        if listed is None
        else tuple(c for c in listed.columns if c not in (*REQUIRED, *OPTIONAL, *SEGMENT)),
    )


def add_own(own: OwnCorpus, source: Path, dest: Path) -> Ingested:
    """Copy the recordings into `dest` and write its files, all or nothing.

    Where a corpus is there already, its facts stay and its recordings keep their labels.
    """
    corpus = listed_corpus(dest.name, own.card, own.labels)
    return ingest(source, dest, corpus, notes=_grown(own, dest).files)


def _grown(own: OwnCorpus, dest: Path) -> OwnCorpus:
    """The labels of what is at `dest` and of what is added."""
    if not (dest / LABELS_FILE).exists():
        return own
    before = read_labels(dest / LABELS_FILE)
    both = pd.concat([with_segments(before), with_segments(own.labels)], ignore_index=True)
    both = without_empty(both.drop_duplicates())
    key = ["file", *(name for name in SEGMENT if name in both)]
    whole = np.array([segment.is_whole for segment in segments_in(both)])
    clash = both.duplicated(key) | (both["file"].duplicated(keep=False) & whole)
    if clash.any():
        file = both.loc[clash, "file"].iloc[0]
        raise CorpusError(
            f"{file} has other labels than the one in {dest}. Nothing came in. Rename it, or "
            f"start afresh with `ser corpus remove {dest.name}`."
        )
    card = parse_card(read_yaml(dest / CARD_FILE), f"{dest.name}/{CARD_FILE}")
    words = dict(sorted(zip(both["label"], both["emotion"], strict=True)))
    return replace(
        own,
        labels=both.sort_values(key, ignore_index=True),
        card=card.model_copy(update={"mapping": words}),
    )


def read_label_table(path: Path) -> pd.DataFrame:
    """A user's CSV or Parquet table as text, its columns unchecked; raises CorpusError."""
    parquet = path.suffix.lower() == ".parquet"
    try:
        if parquet:
            # Integers beside a missing value would else become 3.0.
            return pd.read_parquet(path).convert_dtypes().astype("string")
        # A speaker may be called NA, or 03; Excel begins its UTF-8 with a mark.
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise CorpusError(f"{path} does not exist; name a CSV or Parquet table.") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8. Save the table as CSV UTF-8.") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(
            f"{path} is not readable as {'Parquet' if parquet else 'CSV'} "
            f"({str(error).splitlines()[0]}). Save the table again."
        ) from error


def read_mapping(path: Path) -> dict[str, str]:
    """A mapping file: YAML `{word: emotion}`; raises CorpusError."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CorpusError(f"{path} does not exist; name a YAML file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CorpusError(
            f"{path} is not YAML ({str(error).splitlines()[0]}). Expected lines `word: emotion`."
        ) from error
    if not isinstance(values, dict) or not values:
        raise CorpusError(f"{path} holds no mapping; expected lines `word: emotion`.")
    for word, to in values.items():
        # YAML reads no, yes, on and off as truth values.
        if not isinstance(word, str | int) or isinstance(word, bool) or not isinstance(to, str):
            raise CorpusError(
                f"{path} maps {word!r} to {to!r}; expected words. Put both in quotes."
            )
    return {str(word): to for word, to in values.items()}


def _lengths(source: Path) -> Callable[[str], float | None]:
    """How many seconds a recording under `source` lasts; None where it cannot be read."""

    @cache
    def seconds_of(file: str) -> float | None:
        try:
            return read_recording(source / file, limits=LONG)[0].seconds
        except AudioError:
            # Stage `manifest` names all of these, whole recordings and others.
            return None

    return seconds_of


def _recordings(source: Path) -> list[PurePath]:
    if not source.is_dir():
        raise MissingCorpus(f"{source} is not a folder; name the one that holds the recordings.")
    files = sorted(
        PurePath(path.relative_to(source).as_posix())
        for path in source.rglob("*")
        if is_audio(path) and path.is_file()
    )
    if not files:
        raise MissingCorpus(f"{source} holds no recordings. Name the folder that holds them.")
    return files
