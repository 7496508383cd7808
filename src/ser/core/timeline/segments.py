"""Labelled parts of a recording, and what can be done with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

from ser.errors import TableError


@dataclass(frozen=True, order=True)
class Labelled:
    """From `start` to `end`, in seconds; label : None where there is speech and no emotion.

    >>> anger = Labelled(1.0, 4.0, "anger")
    >>> anger.seconds, anger & Labelled(3.0, 9.0, "fear"), anger & Labelled(5.0, 9.0)
    (3.0, Labelled(start=3.0, end=4.0, label='anger'), None)
    """

    start: float
    end: float
    label: str | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def __and__(self, other: Labelled) -> Self | None:
        """The part that lies in `other`, too; None where there is none."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return replace(self, start=start, end=end) if start < end else None


def total_seconds(segments: Iterable[Labelled]) -> float:
    """
    >>> total_seconds([Labelled(0, 1), Labelled(4, 6)])
    3
    """
    return sum(segment.seconds for segment in segments)


def checked(segments: Iterable[Labelled], *, source: str) -> tuple[Labelled, ...]:
    """The segments in order; raises TableError where one has no duration or two overlap.

    source : what they are of, for the message.
    """
    ordered = tuple(sorted(segments, key=lambda one: (one.start, one.end)))
    for one in ordered:
        if not 0 <= one.start < one.end < float("inf"):
            raise TableError(
                f"{source}: a segment lasts from {one.start:g} s to {one.end:g} s; expected an end "
                "after a start of at least 0. Correct it."
            )
    for one, following in pairwise(ordered):
        if following.start < one.end - 1e-6:
            raise TableError(
                f"{source}: {one.label} from {one.start:.2f} s to {one.end:.2f} s overlaps "
                f"{following.label} from {following.start:.2f} s on; expected one emotion at a "
                "time. Give each channel its own file."
            )
    return ordered


def joined(segments: Sequence[Labelled], *, pause: float = 0.0) -> tuple[Labelled, ...]:
    """Neighbours of one label become one where at most `pause` seconds lie between.

    >>> joined([Labelled(0, 1, "fear"), Labelled(1.5, 2, "fear"), Labelled(2, 3)], pause=0.5)
    (Labelled(start=0, end=2, label='fear'), Labelled(start=2, end=3, label=None))
    """
    result: list[Labelled] = []
    for one in segments:
        last = result[-1] if result else None
        if last and last.label == one.label and one.start - last.end <= pause:
            result[-1] = replace(last, end=one.end)
        else:
            result.append(one)
    return tuple(result)
