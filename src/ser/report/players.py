"""Recordings of wrong answers, for the page's players."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ser.core.utterance.segments import WHOLE, Segment
from ser.errors import SerError
from ser.io.audio.read import load_segments
from ser.output import one_line
from ser.reporting.model_report import Player
from ser.reporting.pages import audio_uri

#: Seconds of a recording that are played: the page stays small.
MOST_SECONDS = 20.0


def players(root: Path, mistakes: Iterable[Mapping[str, Any]]) -> list[Player]:
    """One for each mistake of reports/slices.json, from data/raw, its bytes checked.

    A recording that is gone, or has changed, is no player, but says why.
    """
    return [_player(root, mistake) for mistake in mistakes]


def _player(root: Path, mistake: Mapping[str, Any]) -> Player:
    segment = WHOLE if mistake["whole"] else Segment(mistake["start"], mistake["end"])
    path = root / mistake["file"]
    if not path.is_file():
        return Player(why="the recording is not on this machine.")
    try:
        ((y, sr),) = load_segments(path, [segment], sha256=mistake["sha256"])
    except SerError as error:
        return Player(why=one_line(str(error)).replace(f"{root}/", ""))
    return Player(uri=audio_uri(y[: int(MOST_SECONDS * sr)], sr))
