"""Columns `start`, `end`, `duration` of a label table: one recording, many utterances."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ser.core.utterance.segments import Segment
from ser.errors import AudioError, CorpusError

SEGMENT = ("start", "end")
#: Columns of a user's table that hold times.
TIMES = (*SEGMENT, "duration")
#: Seconds by which a duration may differ from end - start: each may be rounded to a tenth.
ROUNDED = 0.2
#: Seconds, or HH:MM:SS.mmm, or MM:SS.mmm; the decimal point may be a comma.
_TIME = re.compile(
    r"(?:(?:\d+:)?[0-5]?\d:[0-5]?\d(?:[.,]\d*)?|(?:\d+[.,]?\d*|[.,]\d+)(?:e[-+]?\d+)?)", re.I
)


def read_segments(table: pd.DataFrame) -> pd.DataFrame:
    """Start and end of each row in seconds, float64; an empty start is 0, an empty end NaN.

    A duration stands for an end where the table has starts. Raises CorpusError where a cell is no
    time, or a duration is not end - start.
    """
    times = pd.DataFrame(index=table.index)
    problems: list[tuple[int, str]] = []
    for column, empty in (("start", 0.0), ("end", np.nan), ("duration", np.nan)):
        texts = [""] * len(table)
        if column in table:
            texts = table[column].astype("string").fillna("").str.strip().tolist()
        seconds = [_seconds(text) if text else empty for text in texts]
        problems += [
            (row, f"{column} is {text!r}; expected seconds such as 12.5, or HH:MM:SS.mmm")
            for row, text in enumerate(texts)
            if seconds[row] is None
        ]
        times[column] = np.array(seconds, dtype=float)
    _raise_first(problems)
    if "start" in table:
        by_duration = times["start"] + times["duration"]
        wrong = ((by_duration - times["end"]).abs() > ROUNDED).tolist()
        _raise_first(
            [
                (
                    row,
                    f"start {start:g} and duration {duration:g} make the end "
                    f"{start + duration:g}, but end is {end:g}; expected the same, or only one of "
                    "the columns end and duration",
                )
                for row, (start, end, duration) in enumerate(times.to_numpy())
                if wrong[row]
            ]
        )
        times["end"] = times["end"].fillna(by_duration)
    return times[list(SEGMENT)]


def segments_in(rows: pd.DataFrame) -> list[Segment]:
    """The segment of each row, by SEGMENT."""
    return [
        Segment(start, None if np.isnan(end) else end)
        for start, end in zip(rows["start"], rows["end"], strict=True)
    ]


def without_empty(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without SEGMENT where all are whole recordings."""
    if all(segment.is_whole for segment in segments_in(rows)):
        return rows.drop(columns=list(SEGMENT))
    return rows


def check_segments(rows: pd.DataFrame, *, seconds_of: Callable[[str], float], least: float) -> None:
    """Raise CorpusError unless each row is an utterance of its own, inside its recording.

    seconds_of : duration of a file, infinite where not known; not called for whole recordings.
    least : how many seconds a segment lasts at least.
    """
    both = list(zip(rows["file"], segments_in(rows), strict=True))
    cut = {file for file, segment in both if not segment.is_whole}
    first: dict[tuple[str, Segment], int] = {}
    problems = []
    for row, (file, segment) in enumerate(both):
        before = first.setdefault((file, segment), row)
        if before != row:
            what = file if segment.is_whole else f"{segment} of {file}"
            need = "" if cut else "; several utterances of a recording need columns start and end"
            problems.append(
                (row, f"the table lists {what} more than once, as row {before + 1}{need}")
            )
        elif segment.is_whole and file in cut:
            problems.append((row, f"{file} has neither start nor end, but has them in other rows"))
        elif not segment.is_whole:
            try:
                segment.within(seconds_of(file), least=least)
            except AudioError as error:
                problems.append((row, str(error.of(f"{file} ({segment})"))))
    _raise_first(problems)


def count_overlaps(rows: pd.DataFrame) -> int:
    """How many segments overlap another of their recording that has another emotion or speaker."""
    found = 0
    for _, own in rows.groupby("file"):
        if len(own) == 1:
            continue
        start, end = own["start"].to_numpy(), own["end"].fillna(np.inf).to_numpy()
        label = (own["speaker"] + "\n" + own["emotion"]).to_numpy()
        for i in range(len(own)):
            found += bool(np.any((start < end[i]) & (end > start[i]) & (label != label[i])))
    return found


def _seconds(text: str) -> float | None:
    if not _TIME.fullmatch(text):
        return None
    parts = text.replace(",", ".").split(":")
    return sum(float(part) * 60**i for i, part in enumerate(reversed(parts)))


def _raise_first(problems: Sequence[tuple[int, str]]) -> None:
    if not problems:
        return
    row, problem = min(problems)
    of = f" ({len(problems)} rows of the table have such problems)" if len(problems) > 1 else ""
    raise CorpusError(
        f"Row {row + 1} below the header: {problem.rstrip('.')}{of}. Correct the table."
    )
