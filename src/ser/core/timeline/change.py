"""How emotions change over a recording: what a reader asks of a timeline first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ser.core.timeline.segments import Labelled, joined, total_seconds
from ser.core.timeline.turns import Turn, Windows

#: The beginning and the end of a recording are each this share of its answered speech.
EDGE_SHARE = 0.2
#: A silence longer than this parts two stretches of the same emotion.
STRETCH_PAUSE_SECONDS = 5.0
#: Windows must lie this far apart for a trend.
LEAST_TREND_SECONDS = 600.0


@dataclass(frozen=True)
class Change:
    """Figures of one channel; shares are of the answered speech and sum to 1, {} without any.

    transitions : from one emotion to the next, abstentions passed over, the most frequent first.
    changes_per_minute : of answered speech. volatility : the mean distance (total variation, 0 to
    1) between smoothed posteriors of neighbouring windows. start, end : shares in the first and the
    last fifth of the answered speech. trend_per_hour : slope of each emotion's smoothed posterior
    over the recording's time; {} where it spans less than ten minutes. longest : the longest
    stretch of one emotion, silences up to 5 s included.
    """

    speech_seconds: float
    answered_seconds: float
    seconds_by_emotion: dict[str, float] = field(default_factory=dict)
    share_by_emotion: dict[str, float] = field(default_factory=dict)
    transitions: tuple[tuple[str, str, int], ...] = ()
    changes_per_minute: float | None = None
    volatility: float | None = None
    start: dict[str, float] = field(default_factory=dict)
    end: dict[str, float] = field(default_factory=dict)
    trend_per_hour: dict[str, float] = field(default_factory=dict)
    longest: Labelled | None = None


def change_of(
    turns: Sequence[Turn], windows: Windows, *, speech_seconds: float, classes: Sequence[str]
) -> Change:
    """The figures of turns and of the smoothed windows that they were made of."""
    answered = [turn.segment for turn in turns if turn.emotion is not None]
    seconds = total_seconds(answered)
    if not answered:
        return Change(speech_seconds, 0.0)
    steps = Counter(
        (a.label or "", b.label or "") for a, b in pairwise(answered) if a.label != b.label
    )
    told = np.array([refused is None for refused in windows.abstentions], dtype=bool)
    posteriors = windows.posteriors[told]
    middle = (windows.start + windows.end)[told] / 2
    return Change(
        speech_seconds,
        seconds,
        by_label(answered, classes),
        shares(answered, classes),
        tuple((a, b, n) for (a, b), n in steps.most_common()),
        60 * steps.total() / seconds,
        _volatility(posteriors),
        shares(_first(answered, EDGE_SHARE * seconds), classes),
        shares(_last(answered, EDGE_SHARE * seconds), classes),
        _trend(posteriors, at=middle, classes=classes),
        max(joined(answered, pause=STRETCH_PAUSE_SECONDS), key=lambda one: one.seconds),
    )


def by_label(segments: Sequence[Labelled], classes: Sequence[str]) -> dict[str, float]:
    """Seconds of each class, 0 for one that does not occur."""
    found = dict.fromkeys(classes, 0.0)
    for one in segments:
        if one.label is not None:
            found[one.label] += one.seconds
    return found


def shares(segments: Sequence[Labelled], classes: Sequence[str]) -> dict[str, float]:
    """`by_label` as shares of all; {} where there is nothing."""
    seconds = by_label(segments, classes)
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()} if total > 0 else {}


def _first(segments: Sequence[Labelled], seconds: float) -> list[Labelled]:
    """The first so many seconds of segments, silences between them left out."""
    taken: list[Labelled] = []
    for one in segments:
        part = one & Labelled(one.start, one.start + seconds)
        if seconds <= 0 or part is None:
            break
        taken.append(part)
        seconds -= part.seconds
    return taken


def _last(segments: Sequence[Labelled], seconds: float) -> list[Labelled]:
    mirrored = [Labelled(-one.end, -one.start, one.label) for one in reversed(segments)]
    return _first(mirrored, seconds)


def _volatility(posteriors: np.ndarray) -> float | None:
    if len(posteriors) < 2:
        return None
    return float(np.abs(np.diff(posteriors, axis=0)).sum(axis=1).mean() / 2)


def _trend(posteriors: np.ndarray, *, at: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Slopes per hour of least squares over the windows' middles (n,), seconds."""
    if len(at) < 3 or np.ptp(at) < LEAST_TREND_SECONDS:
        return {}
    hours = (at - at.mean()) / 3600
    slopes = hours @ (posteriors - posteriors.mean(axis=0)) / (hours @ hours)
    return dict(zip(classes, map(float, slopes), strict=True))
