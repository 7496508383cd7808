"""The true emotions of a recording, as people label it in other programs."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ser.core.timeline.segments import Labelled, checked
from ser.core.utterance.emotions import EMOTIONS
from ser.core.utterance.names import spelling_key
from ser.corpora.own.words import vocabulary
from ser.errors import TableError, UnknownEmotion
from ser.extras import need

#: A channel by its number from 1 on or by its name; None: the recording.
Channel = int | str | None
#: What a file is by its suffix.
KINDS = {
    ".csv": "CSV with the columns start, end and emotion, separated by commas",
    ".rttm": "RTTM",
    ".textgrid": "a TextGrid",
    ".txt": "Audacity's labels: start, end and emotion, separated by tabs",
}
SUFFIXES = tuple(KINDS)
#: Columns that a CSV file has at least.
COLUMNS = ("start", "end", "emotion")
FORMATS = "RTTM (.rttm), CSV (.csv), Praat's TextGrid (.TextGrid) or Audacity's labels (.txt)"


@dataclass(frozen=True)
class Reference:
    """The labelled segments of one recording. path : where they were read."""

    path: Path
    segments: Mapping[Channel, tuple[Labelled, ...]]

    def by_channel(self, names: Sequence[str]) -> dict[int, tuple[Labelled, ...]]:
        """The segments by the place of their channel in `names`, those of the recording's channels.

        Raises TableError for a channel that is not there.
        """
        return {self._place(one, names): own for one, own in self.segments.items()}

    def _place(self, channel: Channel, names: Sequence[str]) -> int:
        if isinstance(channel, int) and 1 <= channel <= len(names):
            return channel - 1
        if channel in names:
            return names.index(str(channel))
        if channel is None and len(names) == 1:
            return 0
        found = f"channel {channel}" if isinstance(channel, int) else channel or "no channel"
        raise TableError(
            f"{self.path} labels {found}; the timeline has {', '.join(names)}. Name each label's "
            "channel, or give --channels."
        )


def read_reference(path: Path, *, name: str) -> Reference:
    """The labelled segments of the recording called `name`, without its suffix.

    Labels are canonical emotions or the common words for them (angry); those in brackets are none,
    as are a TextGrid's empty ones. Raises TableError where the file cannot be read or segments
    overlap, UnknownEmotion for any other label, SerError for a TextGrid without the extra
    `insight`.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise TableError(f"{path} has the suffix {path.suffix!r}; expected {FORMATS}.")
    # As what is written of such a name has it.
    name = name.encode(errors="backslashreplace").decode()
    found: dict[Channel, list[Labelled]] = {}
    try:
        rows = list(read(path, name))
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, csv.Error) as error:
        raise TableError(
            f"{path} is not {KINDS[path.suffix.lower()]}: {error}. Correct it, or give it the "
            "suffix of its own format."
        ) from error
    if rows and not any(row.word for row in rows):
        raise TableError(f"{path}: all its labels are empty; expected the emotions of the speech.")
    for row in rows:
        if not row.is_none:
            found.setdefault(row.channel, []).append(_labelled(row, path))
    if not found:
        only = " but what is in brackets" if rows else ""
        raise TableError(f"{path} labels nothing of {name}{only}; expected emotions of its speech.")
    return Reference(
        path, {channel: checked(own, source=str(path)) for channel, own in found.items()}
    )


@dataclass(frozen=True)
class Row:
    """A label as it is written. where : it stands in its file. may_be_empty : by its format."""

    where: str
    channel: Channel
    start: float
    end: float
    label: str
    may_be_empty: bool = False

    @property
    def word(self) -> str:
        return self.label.strip()

    @property
    def is_none(self) -> bool:
        return self.word.startswith("(") or (self.may_be_empty and not self.word)


Rows = Iterable[Row]


def _labelled(row: Row, path: Path) -> Labelled:
    """The segment of a row; raises TableError or UnknownEmotion, which name the row."""
    if not row.word:
        raise TableError(
            f"{path}: {row.where} has no label; expected an emotion. Write it, or, where there is "
            "none, a word in brackets."
        )
    emotion = vocabulary({}).get(spelling_key(row.word))
    if emotion is None:
        raise UnknownEmotion(
            f"{path}: {row.where} has the unknown emotion {row.word!r}; known are "
            f"{', '.join(EMOTIONS)}. Correct it, or put in brackets what is none."
        )
    if not 0 <= row.start < row.end < float("inf"):
        raise TableError(
            f"{path}: {row.where} lasts from {row.start:g} s to {row.end:g} s; expected an end "
            "after a start of at least 0. Correct it."
        )
    return Labelled(row.start, row.end, emotion)


def _rttm(path: Path, name: str) -> Rows:
    uri = "_".join(name.split())
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if fields[:1] != ["SPEAKER"]:
            continue
        with _line(number):
            if len(fields) < 8:
                raise ValueError("has fewer than 8 fields")
            channel, start, seconds = int(fields[2]), _seconds(fields[3]), _seconds(fields[4])
        if fields[1] == uri:
            yield Row(f"line {number}", channel, start, start + seconds, fields[7])


def _csv(path: Path, name: str) -> Rows:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        given = rows.fieldnames or COLUMNS
        head = rows.fieldnames = [spelling_key(header) for header in given]
        if missing := [column for column in COLUMNS if column not in head]:
            other = next((sign for sign in (";", "\t") if sign in given[0]), None)
            by = f", and is separated by {other!r}" if other else ""
            raise ValueError(f"line 1 has no column {missing[0]}{by}")
        for row in rows:
            if row.get("file") and Path(row["file"]).stem != name:
                continue
            with _line(rows.line_num):
                if missing := [column for column in COLUMNS if row[column] is None]:
                    raise ValueError(f"has nothing in the column {missing[0]}")
                start, end = _seconds(row["start"]), _seconds(row["end"])
            channel = (row.get("channel") or "").strip() or None
            channel = None if channel in ("mono", "mix") else channel
            # Turns that a model did not answer, as `writing` has them.
            may_be_empty = "abstention" in head
            yield Row(f"line {rows.line_num}", channel, start, end, row["emotion"], may_be_empty)


def _textgrid(path: Path, name: str) -> Rows:
    textgrid = need("insight", "praatio.textgrid")
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    except OSError:
        raise
    except Exception as error:
        # praatio's errors have no common class, and of no TextGrid they are those of a list.
        raise ValueError(_no_textgrid(path.read_bytes()) or str(error)) from error
    tiers = [tier for tier in grid.tiers if isinstance(tier, textgrid.IntervalTier)]
    for tier in tiers:
        channel = tier.name if len(tiers) > 1 else None
        for number, entry in enumerate(tier.entries, start=1):
            where = f"interval {number} of the tier {tier.name}"
            # Praat's intervals cover all of the recording, silence too.
            yield Row(where, channel, entry.start, entry.end, entry.label, may_be_empty=True)


def _no_textgrid(data: bytes) -> str:
    """What there is in place of a TextGrid; "" for a damaged one."""
    if not data.strip():
        return "it is empty"
    # Praat writes UTF-16, too.
    if b"ooTextFile" not in data[:200].replace(b"\0", b""):
        return 'it does not begin with File type = "ooTextFile"'
    return ""


def _audacity(path: Path, name: str) -> Rows:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        # A line that begins with a backslash has the frequencies of the label before it.
        if not line.strip() or line.startswith("\\"):
            continue
        fields = [*line.split("\t"), ""]
        with _line(number):
            if len(fields) < 3:
                raise ValueError("has no tab between start and end")
            # Labels typed where a decimal comma is usual.
            start, end = (_seconds(field.replace(",", ".")) for field in fields[:2])
        found = re.fullmatch(r"(.+?): *(.*)", fields[2])
        channel, word = found.groups() if found else (None, fields[2])
        yield Row(f"line {number}", channel, start, end, word)


@contextmanager
def _line(number: int) -> Iterator[None]:
    """Errors name the line."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"line {number} {error}") from error


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"has {text!r} for a number of seconds") from error


READERS: dict[str, Callable[[Path, str], Rows]] = {
    ".rttm": _rttm,
    ".csv": _csv,
    ".textgrid": _textgrid,
    ".txt": _audacity,
}
