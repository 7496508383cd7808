"""Several timelines side by side: a person over weeks, the calls of a team. Pure.

Rows keep the order that they are given in. Nothing here orders people by how they feel: shares of
perceived emotions depend on recording, situation and model at least as much as on the person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ser.core.timeline.change import Change
from ser.core.timeline.values import Timeline

#: Recordings from which a trend over them is given.
LEAST_FOR_TREND = 3


@dataclass(frozen=True)
class Compared:
    """The figures of one channel of one recording."""

    file: str
    channel: str
    seconds: float
    change: Change


@dataclass(frozen=True)
class Comparison:
    """rows : in order. drift : of each emotion the change of its share from one recording to the
    next, by least squares over the order; {} for fewer than three recordings with answers."""

    rows: tuple[Compared, ...]
    drift: dict[str, float] = field(default_factory=dict)


def compared(timelines: Sequence[Timeline]) -> Comparison:
    """The recordings, channel by channel, in the order given.

    drift : over recordings of one channel alone; of calls, whose channels are different people,
    there is none.
    """
    rows = tuple(
        Compared(timeline.file, channel.name, timeline.seconds, channel.change)
        for timeline in timelines
        for channel in timeline.channels
    )
    alone = all(len(timeline.channels) == 1 for timeline in timelines)
    told = [(i, row.change.share_by_emotion) for i, row in enumerate(rows)]
    told = [(i, shares) for i, shares in told if shares]
    classes = {tuple(shares) for _, shares in told}
    if not alone or len(told) < LEAST_FOR_TREND or len(classes) > 1:
        return Comparison(rows)
    at = np.array([i for i, _ in told], dtype=float)
    at -= at.mean()
    shares = np.array([list(own.values()) for _, own in told])
    slopes = at @ (shares - shares.mean(axis=0)) / (at @ at)
    return Comparison(rows, dict(zip(next(iter(classes)), map(float, slopes), strict=True)))


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Orders names as people do, numbers by their size.

    >>> sorted(["week 10", "week 9"], key=natural_key)
    ['week 9', 'week 10']
    >>> natural_key("m²")
    [(1, 'm²')]
    """
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]
