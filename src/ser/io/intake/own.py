"""A user's own recordings into data/raw, with the files that make them a corpus.

`prepare_own` reads and labels them, `add_own` copies them as those of any other corpus; a corpus
that is there grows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ser.core.utterance.names import clean, spelling_key
from ser.corpora.listing import Listing, list_folder, others_in_words
from ser.corpora.own import folder, segments, shelf
from ser.corpora.own.columns import choose_columns, time_like
from ser.corpora.own.matching import match_files
from ser.corpora.own.reading import load_yaml
from ser.corpora.own.words import SECTIONS, check_sexes
from ser.errors import AudioError, CorpusError, MissingCorpus
from ser.io.audio.read import LONG, read_recording
from ser.io.intake.checksums import SUMS
from ser.io.intake.ingest import Ingested, ingest
from ser.io.intake.label_table import read_label_table


@dataclass(frozen=True)
class OwnCorpus:
    """What is about to be added.

    labels : one row an utterance of the recordings to copy, see `label_recordings`.
    left_out : recordings of the folder that are dropped or not listed.
    dropped : rows of the user's table that are dropped.
    notes : how table and folder were understood, a line each.
    """

    labels: pd.DataFrame
    card: shelf.Card
    left_out: int
    notes: tuple[str, ...] = ()
    dropped: int = 0

    @property
    def files(self) -> dict[str, bytes]:
        """name -> content of the files that stand beside the recordings."""
        card = yaml.safe_dump(
            self.card.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        )
        labels = segments.without_empty(self.labels).to_csv(index=False, lineterminator="\n")
        return {shelf.LABELS_FILE: labels.encode(), shelf.CARD_FILE: card.encode()}


def prepare_own(
    source: Path,
    *,
    table: Path | None = None,
    columns: Mapping[str, str] | None = None,
    mapping: Path | None = None,
    pattern: str | None = None,
    drop_unlisted: bool = False,
    only: Collection[str] | None = None,
    facts: Mapping[str, Any],
) -> OwnCorpus:
    """Label the recordings under `source`; nothing is written.

    table : CSV or Parquet, mapping : YAML; relative paths may also be below `source`.
    columns : our column -> the table's; others by their names, see `choose_columns`.
    pattern, drop_unlisted : as `label_recordings` has them.
    only : paths below `source`; others are as if they were not there, in the table, too.
    facts : title, licence, citation, homepage, languages of the card.
    Raises MissingCorpus, UnknownEmotion or CorpusError.
    """
    described = {_near(path, source).resolve() for path in (table, mapping) if path}
    found = _recordings(source, described)
    recordings = [f for f in found.recordings if only is None or str(f) in only]
    words = {} if mapping is None else read_mapping(_near(mapping, source))
    if columns and table is None:
        raise CorpusError("--columns names columns of a table, and there is none. Add --table.")
    listed, notes = None, list(filter(None, [others_in_words(found.others)]))
    if table is not None:
        listed, understood = _listed(_near(table, source), columns, pattern or "")
        listed, renamed = _named_as_here(listed, found.recordings)
        if only is not None:
            listed = listed[listed["file"].isin(only)]
        notes = [*notes, *understood, *renamed]
    labels = folder.label_recordings(
        recordings,
        table=listed,
        mapping=words.get("emotion"),
        speakers=words.get("speaker"),
        sexes=words.get("sex"),
        pattern=pattern,
        drop_unlisted=drop_unlisted,
        seconds_of=_durations(source),
    )
    occur = dict(sorted(zip(labels["label"], labels["emotion"], strict=True)))
    card = shelf.parse_card({**facts, "mapping": occur}, "The corpus's facts")
    return OwnCorpus(
        labels=labels,
        card=card,
        left_out=len(recordings) - labels["file"].nunique(),
        notes=tuple(notes),
        dropped=0 if listed is None else len(listed) - len(labels),
    )


def check_table(table: Path) -> None:
    """Raise CorpusError where a table lacks a column or cannot be read, whatever its rows say."""
    _listed(table, None, "")


def _listed(
    table: Path, columns: Mapping[str, str] | None, pattern: str
) -> tuple[pd.DataFrame, list[str]]:
    """The table with our names of its columns, and how it was understood."""
    read = read_label_table(table)
    chosen = choose_columns(list(read.rows.columns), columns)
    _check_enough(chosen, pattern, read.rows)
    listed = read.rows[list(chosen.values())].set_axis(list(chosen), axis=1)
    ignored = [c for c in read.rows.columns if c not in chosen.values()]
    _check_times(listed, time_like(ignored))
    return listed, [*read.notes, *_understood(chosen, ignored)]


def add_own(own: OwnCorpus, source: Path, dest: Path) -> Ingested:
    """Copy the recordings into `dest` and write its files, all or nothing.

    Where a corpus is there already, its facts stay and its recordings keep their labels.
    """
    corpus = shelf.listed_corpus(dest.name, own.card, own.labels)
    return ingest(source, dest, corpus, notes=grown(own, dest).files)


def grown(own: OwnCorpus, dest: Path) -> OwnCorpus:
    """The labels of the recordings at `dest` and of those that are added.

    Raises CorpusError where they do not agree.
    """
    if not (dest / shelf.LABELS_FILE).exists():
        return own
    before, new = shelf.read_labels(dest / shelf.LABELS_FILE), own.labels.copy()
    for column in ("intensity", "sentence"):
        new[column] = folder.one_spelling(new[column], known=before[column])
    both = pd.concat([before, new], ignore_index=True).drop_duplicates()
    key = ["file", *segments.SEGMENT]
    whole = np.array([segment.is_whole for segment in segments.segments_in(both)])
    clash = both.duplicated(key) | (both["file"].duplicated(keep=False) & whole)
    if clash.any():
        file = both.loc[clash, "file"].iloc[0]
        raise CorpusError(
            f"{file} has other labels than the one in {dest}. Nothing came in. Rename it, or "
            f"start afresh with `ser corpus remove {dest.name}`."
        )
    folder.check_speakers(both["speaker"], f"Together with what is in {dest}: ")
    card = shelf.read_card(dest)
    words = dict(sorted(zip(both["label"], both["emotion"], strict=True)))
    return replace(
        own,
        labels=both.sort_values(key, ignore_index=True),
        card=card.model_copy(update={"mapping": words}),
    )


def read_mapping(path: Path) -> dict[str, dict[str, str]]:
    """A mapping file: YAML `{word: emotion}`, or such a mapping below some of SECTIONS.

    Returns word -> meaning by section. Raises CorpusError.
    """
    try:
        values = load_yaml(path, remedy="Name a YAML file.")
    except ValueError as error:
        raise CorpusError(
            f"{path} is not YAML ({error}). Expected lines `word: emotion`."
        ) from error
    if not isinstance(values, dict) or not values:
        raise CorpusError(f"{path} holds no mapping; expected lines `word: emotion`.")
    if any(isinstance(part, dict) for part in values.values()):
        if strange := [part for part in values if part not in SECTIONS]:
            raise CorpusError(
                f"{path} has the part {strange[0]!r:.60}; known are {', '.join(SECTIONS)}. "
                "Put each line `word: meaning` below one of these."
            )
        parts = {part: _pairs(path, values[part]) for part in values}
    else:
        parts = {"emotion": _pairs(path, values)}
    check_sexes(parts.get("sex", {}))
    if "speaker" in parts:
        parts["speaker"] = {clean(word): clean(to) for word, to in parts["speaker"].items()}
    return parts


def _pairs(path: Path, values: Any) -> dict[str, str]:
    if not isinstance(values, dict):
        raise CorpusError(f"{path} holds {values!r:.60}; expected lines `word: meaning`.")
    for word, to in values.items():
        # YAML reads no, yes, on and off as truth values.
        if not isinstance(word, str | int) or isinstance(word, bool) or not isinstance(to, str):
            raise CorpusError(
                f"{path} maps {word!r:.60} to {to!r:.60}; expected words. Put both in quotes."
            )
    return {str(word): to for word, to in values.items()}


def _durations(source: Path) -> Callable[[str], float]:
    """Seconds of a recording under `source`, by its path; infinite where it cannot be read."""

    @cache
    def seconds_of(file: str) -> float:
        try:
            return read_recording(source / file, limits=LONG)[0].seconds
        except AudioError:
            # Stage `manifest` names all of these, whole recordings and others.
            return np.inf

    return seconds_of


def _near(path: Path, source: Path) -> Path:
    """The file, here or below the folder of the recordings."""
    below = os.path.exists(source / path) and not os.path.exists(path)
    return source / path if below else path


def _check_enough(chosen: Mapping[str, str], pattern: str, rows: pd.DataFrame) -> None:
    by_pattern = {ours for ours in folder.GROUPS if f"(?P<{ours}>" in pattern}
    lacks = [ours for ours in folder.REQUIRED if ours not in {*chosen, *by_pattern}]
    if lacks:
        raise CorpusError(
            f"The table lacks {', '.join(lacks)}; it has {', '.join(rows.columns)}. Say which is "
            f"meant with --columns '{','.join(f'{ours}=…' for ours in lacks)}'; what the files' "
            "paths hold, --pattern finds."
        )


def _check_times(listed: pd.DataFrame, like_times: Sequence[str]) -> None:
    """Raise CorpusError where files are listed again and no column of times is understood."""
    if not like_times or not set(segments.TIMES).isdisjoint(listed):
        return
    again = listed.loc[listed["file"].duplicated(), "file"]
    if not again.empty:
        raise CorpusError(
            f"The table lists {again.iloc[0]} more than once ({len(again)} rows repeat a file), "
            "and no column is understood as a segment's start or end; "
            f"{', '.join(like_times)} may be. Say which is meant with "
            "--columns 'start=…,end=…' (or duration=…), in seconds."
        )


def _understood(chosen: Mapping[str, str], ignored: Sequence[str]) -> list[str]:
    others = [
        f"{theirs} is the {ours}" for ours, theirs in chosen.items() if spelling_key(theirs) != ours
    ]
    lines = [f"Columns: {', '.join(others)}."] if others else []
    lines += [f"Columns that are not read: {', '.join(ignored)}."] if ignored else []
    if "start" in chosen and set(chosen).isdisjoint(("end", "duration")):
        lines += ["The table has no column end or duration: segments last to the recording's end."]
    if "end" in chosen and "start" not in chosen:
        lines += ["The table has no column start: segments begin with the recording."]
    return lines


def _named_as_here(
    listed: pd.DataFrame, recordings: Sequence[PurePath]
) -> tuple[pd.DataFrame, list[str]]:
    """The table with the recordings' own paths where only one can be meant, and a note on these."""
    matched = match_files(listed["file"], recordings)
    other = [f"{told} as {here}" for told, here in matched.items() if told != here]
    listed = listed.assign(file=[matched.get(file, file) for file in listed["file"]])
    counted = (
        f"{len(other)} files of the table are here by another path, first {''.join(other[:1])}."
    )
    return listed, [counted] if other else []


def _recordings(source: Path, described: Collection[Path]) -> Listing:
    if not os.path.isdir(source):
        raise MissingCorpus(f"{source} is not a folder; name the one that holds the recordings.")
    ours = (shelf.LABELS_FILE, shelf.CARD_FILE, SUMS)
    found = list_folder(
        source,
        aside=lambda path: str(path) in ours or (source / path).resolve() in described,
    )
    if not found.recordings:
        raise MissingCorpus(
            f"{source} holds no recordings{found.but}. Name the folder that holds them."
        )
    return found
