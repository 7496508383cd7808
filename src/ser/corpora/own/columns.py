"""Which column of a user's table means what: by its name, or by the user's choice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ser.core.utterance.names import pair, spelling_key
from ser.errors import CorpusError

#: Our column -> names that people give it, the likeliest first; as `spelling_key` has them,
#: capitals, spaces, `_` and `-` make no difference.
NAMES = {
    "file": (
        *("file", "path", "file name", "file id", "file path", "wav", "wav file", "wav path"),
        *("audio", "audio file", "audio path", "recording", "clip", "sound file"),
    ),
    "emotion": ("emotion", "label", "emotion label", "emotion name", "emo", "emotion class"),
    "speaker": (
        *("speaker", "speaker id", "speaker name", "spk", "spk id", "actor", "actor id"),
        *("subject", "subject id", "participant", "participant id", "client id", "talker"),
    ),
    "sex": ("sex", "gender", "speaker sex", "speaker gender", "actor sex", "actor gender"),
    "intensity": ("intensity", "emotion intensity", "emotional intensity", "level"),
    "sentence": (
        *("sentence", "sentence id", "text id", "statement", "normalized text", "text"),
        *("transcript", "transcription", "utterance text", "raw text"),
    ),
    # Of a segment, in seconds.
    "start": (
        *("start", "start time", "start seconds", "start sec", "start s", "segment start"),
        *("begin", "begin time", "onset", "xmin", "tmin"),
    ),
    "end": (
        *("end", "end time", "end seconds", "end sec", "end s", "segment end", "stop"),
        *("stop time", "finish", "xmax", "tmax", "offset"),
    ),
    "duration": (
        *("duration", "duration seconds", "duration sec", "duration s", "segment duration", "dur"),
    ),
}
#: Two names of these are a doubt; of the others the likeliest is taken.
ASKED = ("file", "emotion", "speaker", "start", "end")
#: Words in a header that stand for a time.
_TIMES = {
    *("start", "begin", "beginning", "onset", "xmin", "tmin", "from"),
    *("end", "ending", "stop", "finish", "offset", "xmax", "tmax", "to"),
    *("duration", "dur", "length", "time", "times", "timestamp", "timestamps"),
    *("ms", "msec", "sec", "secs", "second", "seconds"),
}


def choose_columns(
    headers: Sequence[str], chosen: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Our column -> the header that stands for it, of those that are there.

    chosen : those that the user named. Raises CorpusError where a header is not there, or two
        may be meant.
    """
    by_key: dict[str, str] = {}
    for header in headers:
        if by_key.setdefault(spelling_key(header), header) is not header:
            raise CorpusError(
                f"The table has two columns {pair(by_key[spelling_key(header)], header)}. "
                "Rename one."
            )
    found: dict[str, str] = {}
    for ours, header in (chosen or {}).items():
        if spelling_key(header) not in by_key:
            raise CorpusError(
                f"--columns names {header!r} for {ours}; the table has {', '.join(headers)}. "
                "Name one of these."
            )
        found[ours] = by_key[spelling_key(header)]
    for ours, names in NAMES.items():
        if ours in found:
            continue
        theirs = [by_key[key] for key in map(spelling_key, names) if key in by_key]
        theirs = [header for header in theirs if header not in found.values()]
        if theirs:
            # Our own name leaves no doubt.
            if len(theirs) > 1 and ours in ASKED and spelling_key(theirs[0]) != ours:
                raise CorpusError(
                    f"The table's columns {' and '.join(theirs)} may each be the {ours}. "
                    f"Choose one with --columns '{ours}={theirs[0]}'."
                )
            found[ours] = theirs[0]
    if "start" not in found:
        if spelling_key(found.get("end", "")) == "offset" and "end" not in (chosen or {}):
            # Beside an onset it is the end; with a duration, or alone, it is mostly the start.
            raise CorpusError(
                f"The table's column {found['end']} may be the start or the end of a segment. "
                f"Choose one with --columns 'start={found['end']}' or 'end={found['end']}'."
            )
        # Without a start it is of the recording, and a fact that is not needed.
        found.pop("duration", None)
    return found


def time_like(headers: Iterable[str]) -> list[str]:
    """Those of the headers that seem to be of times.

    >>> time_like(["from_ms", "StopTime", "gender", "sentiment"])
    ['from_ms', 'StopTime']
    """
    words = {header: re.findall("[A-Z]?[a-z]+|[A-Z]+", header) for header in headers}
    return [h for h, parts in words.items() if not _TIMES.isdisjoint(map(str.lower, parts))]


def known(headers: Iterable[str]) -> int:
    """How many headers are names of ours."""
    ours = {spelling_key(name) for names in NAMES.values() for name in names}
    return sum(spelling_key(header) in ours for header in headers)


def parse_columns(words: Iterable[str]) -> dict[str, str]:
    """`emotion=Label,file=Name` -> {emotion: Label, file: Name}; raises CorpusError."""
    chosen: dict[str, str] = {}
    last = None
    for part in (part for word in words for part in word.split(",")):
        ours, equals, header = part.partition("=")
        ours = spelling_key(ours)
        if equals and ours in NAMES:
            if ours in chosen:
                raise CorpusError(f"--columns names {ours} twice. Name it once.")
            chosen[ours], last = header.strip(), ours
        elif last and not equals:
            # A header with a comma in it.
            chosen[last] += f",{part}"
        else:
            raise CorpusError(
                f"--columns has {part!r}; expected COLUMN=HEADER, COLUMN one of "
                f"{', '.join(NAMES)}, HEADER as the table has it."
            )
    return chosen
