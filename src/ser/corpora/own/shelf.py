"""A user's own corpus as it lies in data/raw: recordings, `labels.csv` and `corpus.yaml`."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, StringConstraints, ValidationError

from ser.core.utterance.emotions import check_emotions
from ser.core.utterance.names import is_fit
from ser.corpora.base import Corpus, Labelled, Labels
from ser.corpora.own.folder import COLUMNS, WRITTEN, check_speakers
from ser.corpora.own.reading import load_yaml, read_bytes
from ser.corpora.own.segments import SEGMENT, read_segments, segments_in
from ser.errors import CorpusError
from ser.params import Section

LABELS_FILE, CARD_FILE = "labels.csv", "corpus.yaml"
#: The corpus name in `ser corpus add` that stands for recordings of no published corpus.
ADAPTER: Literal["folder"] = "folder"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Card(Section):
    """What `corpus.yaml` holds.

    languages : ISO 639-1 codes.
    mapping : the user's words that occur -> canonical emotions.
    """

    adapter: Literal["folder"] = ADAPTER
    title: str
    licence: str = "not stated"
    citation: str = ""
    homepage: str = ""
    languages: tuple[Annotated[str, StringConstraints(pattern="^[a-z]{2}$")], ...] = ()
    mapping: dict[str, str] = Field(default_factory=dict)


def is_own_name(name: str) -> bool:
    """True for a name that a user may give: up to 64 small letters, digits, `-` and `_`."""
    return _NAME.fullmatch(name) is not None and name != ADAPTER


def own_corpus(folder: Path) -> Corpus:
    """The corpus in `folder`, called as it; raises CorpusError where its files are wrong."""
    card = read_card(folder)
    rows = read_labels(folder / LABELS_FILE)
    return replace(listed_corpus(folder.name, card, rows), belongs=lambda path: True)


def listed_corpus(name: str, card: Card, rows: pd.DataFrame) -> Corpus:
    """The corpus of the recordings in `rows` (COLUMNS, SEGMENT), whatever else is in a folder."""
    labels = labelled(rows)

    def label(_folder: Path, files: Sequence[PurePath]) -> Labelled:
        _check_same(name, files, set(labels))
        return {file: labels[file] for file in files}

    return Corpus(
        name=name,
        **card.model_dump(include={"title", "licence", "citation", "homepage", "languages"}),
        speakers=rows["speaker"].nunique(),
        utterances=len(rows),
        codes=card.mapping,
        protocols=("holdout", "grouped-kfold", "leave-one-speaker-out"),
        label=label,
        belongs=lambda path: path in labels,
        labelling=(LABELS_FILE, CARD_FILE),
    )


def labelled(rows: pd.DataFrame) -> Labelled:
    """Labels by recording, of `rows` of COLUMNS and SEGMENT."""
    found: dict[PurePath, list[Labels]] = defaultdict(list)
    for row, segment in zip(rows.to_dict("records"), segments_in(rows), strict=True):
        facts = {name: row[name] for name in ("speaker", "sex", "emotion", "intensity", "sentence")}
        label = Labels(**facts, start=segment.start, end=segment.end)
        found[PurePath(row["file"])].append(label)
    return {file: own[0] if len(own) == 1 else tuple(own) for file, own in found.items()}


def parse_card(values: Any, source: str) -> Card:
    """A card from what YAML held; raises CorpusError naming the key."""
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "the whole"
        raise CorpusError(
            f"{source}: {key} is {problem['input']!r}; {problem['msg'].lower()}. Correct it."
        ) from error


def read_card(folder: Path) -> Card:
    """What CARD_FILE in `folder` holds; raises CorpusError."""
    path = folder / CARD_FILE
    try:
        values = load_yaml(path, remedy=_remedy(path))
    except ValueError as error:
        raise _wrong(path, f"is not readable as YAML ({str(error).strip()})") from error
    return parse_card(values, f"{folder.name}/{CARD_FILE}")


def read_labels(path: Path) -> pd.DataFrame:
    """The labels of a corpus in data/raw, COLUMNS and SEGMENT; raises CorpusError."""
    content = io.BytesIO(read_bytes(path, remedy=_remedy(path)))
    try:
        rows = pd.read_csv(content, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise _wrong(path, f"is not readable as CSV ({str(error).strip()})") from error
    if list(rows.columns) not in (list(COLUMNS), [*COLUMNS, *SEGMENT]):
        raise _wrong(
            path, f"has the columns {', '.join(rows.columns)}; expected {', '.join(COLUMNS)}"
        )
    check_emotions(rows["emotion"])
    for column in ("file", *WRITTEN):
        if wrong := [text for text in rows[column].unique() if not (text and is_fit(text))]:
            raise _wrong(path, f"has a {column} {wrong[0]!a}; expected text")
    # The file may be edited by hand.
    check_speakers(rows["speaker"], f"{path}: remove the corpus and add it again. ")
    return rows.assign(**read_segments(rows))


def _wrong(path: Path, found: str) -> CorpusError:
    return CorpusError(f"{path} {found}. {_remedy(path)}")


def _remedy(path: Path) -> str:
    return f"Restore it with `dvc checkout`, or add {path.parent.name} again."


def _check_same(name: str, files: Sequence[PurePath], labels: set[PurePath]) -> None:
    unlisted = sorted(set(files) - labels)
    if unlisted:
        raise CorpusError(
            f"{LABELS_FILE} of {name} does not list {unlisted[0]} ({len(unlisted)} such files). "
            "Add a row or remove the file."
        )
    absent = sorted(labels - set(files))
    if absent:
        raise CorpusError(
            f"{LABELS_FILE} of {name} lists {absent[0]}, which is not there ({len(absent)} such "
            "rows). Restore the file with `dvc checkout`, or remove the row."
        )
