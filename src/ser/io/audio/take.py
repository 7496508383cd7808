"""What a model takes of a recording. Light to import: other processes do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.core.uncertainty.abstention import Abstention
from ser.errors import AudioError, TooLongAudio
from ser.front_end import Extracted, FrontEnd
from ser.io.audio.read import load_mono
from ser.parallel import in_parallel

Taken = Abstention | Extracted | AudioError


def take(front_end: FrontEnd, file: Path) -> Taken:
    """Features of a recording, why it is not judged, or the error that reading it raised."""
    try:
        y, sr = load_mono(file)
        return front_end.take(y, sr=sr)
    except TooLongAudio as error:
        return Abstention("too_long", str(error))
    except AudioError as error:
        return error


def take_apart(front_end: FrontEnd, files: Sequence[Path]) -> Iterator[Taken]:
    """`take` of each file in order, in other processes that start at once."""
    return in_parallel(take, [(front_end, file) for file in files], doing=None)
