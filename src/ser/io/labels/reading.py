"""The true emotions of a recording, as people label it in other programs."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ser.core.timeline.segments import Labelled, checked
from ser.core.timeline.values import names_of_channels
from ser.core.utterance.emotions import check_emotions
from ser.errors import TableError
from ser.extras import need

#: Segments by the channel's name; None: of the recording.
Reference = dict[str | None, tuple[Labelled, ...]]
SUFFIXES = (".csv", ".rttm", ".textgrid", ".txt")
FORMATS = "RTTM (.rttm), CSV (.csv), Praat's TextGrid (.TextGrid) or Audacity's labels (.txt)"


def read_reference(path: Path, *, name: str) -> Reference:
    """The labelled segments of the recording called `name`, without its suffix.

    Labels are canonical emotions; empty ones and those in brackets are none. Raises TableError
    where the file cannot be read or segments overlap, UnknownEmotion for any other label, SerError
    for a TextGrid without the extra `insight`.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise TableError(f"{path} has the suffix {path.suffix!r}; expected {FORMATS}.")
    found: dict[str | None, list[Labelled]] = {}
    try:
        for channel, segment in read(path, name):
            label = (segment.label or "").strip()
            if label and not label.startswith("("):
                check_emotions([label])
                found.setdefault(channel, []).append(Labelled(segment.start, segment.end, label))
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise TableError(
            f"{path} is not {FORMATS} by its suffix ({error}). Correct it, or give it its own "
            "suffix."
        ) from error
    if not found:
        raise TableError(f"{path} labels nothing of {name}; expected emotions of its speech.")
    return {channel: checked(own, source=str(path)) for channel, own in found.items()}


Rows = Iterable[tuple[str | None, Labelled]]


def _rttm(path: Path, name: str) -> Rows:
    uri = "_".join(name.split())
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [line for line in lines if line and line[0] == "SPEAKER"]
    if any(len(line) < 8 for line in rows):
        raise ValueError("a line has fewer than 8 fields")
    own = [line for line in rows if line[1] == uri]
    names = names_of_channels(max((int(line[2]) for line in own), default=1))
    for line in own:
        start, seconds = float(line[3]), float(line[4])
        channel = names[int(line[2]) - 1] if len(names) > 1 else None
        yield channel, Labelled(start, start + seconds, line[7])


def _csv(path: Path, name: str) -> Rows:
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if row.get("file") and Path(row["file"]).stem != name:
                continue
            channel = row.get("channel") or None
            channel = None if channel in ("mono", "mix") else channel
            yield channel, Labelled(float(row["start"]), float(row["end"]), row["emotion"])


def _textgrid(path: Path, name: str) -> Rows:
    textgrid = need("insight", "praatio.textgrid")
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    except OSError:
        raise
    except Exception as error:
        # praatio's errors have no common class.
        raise ValueError(str(error)) from error
    tiers = [tier for tier in grid.tiers if isinstance(tier, textgrid.IntervalTier)]
    for tier in tiers:
        channel = tier.name if len(tiers) > 1 else None
        for entry in tier.entries:
            yield channel, Labelled(entry.start, entry.end, entry.label)


def _audacity(path: Path, name: str) -> Rows:
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        # A line that begins with a backslash has the frequencies of the label before it.
        if not line.strip() or line.startswith("\\"):
            continue
        start, end, label = [*line.split("\t"), ""][:3]
        found = re.fullmatch(r"(.+?): *(.+)", label)
        channel, word = found.groups() if found else (None, label)
        # Labels typed where a decimal comma is usual.
        yield channel, Labelled(float(start.replace(",", ".")), float(end.replace(",", ".")), word)


READERS: dict[str, Callable[[Path, str], Rows]] = {
    ".rttm": _rttm,
    ".csv": _csv,
    ".textgrid": _textgrid,
    ".txt": _audacity,
}
