"""Emotion diarization error rate (EDER): how much of the speech has a wrong emotion. Pure.

Wang, Ravanelli and Yacoubi (2023), "Speech emotion diarization: which emotion appears when?":
false alarms, missed speech and confusions together, over the reference's speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from ser.core.timeline.segments import Labelled, checked, total_seconds
from ser.errors import TableError
from ser.output import clock

#: Seconds by which labels may reach beyond the recording: people and formats round.
TOLERANCE = 1.0


@dataclass(frozen=True)
class DiarizationError:
    """Seconds. speech : of the reference; missed : of it without an emotion, silence or an
    abstention; false_alarm : with an emotion where the reference has none; confused : with another
    emotion than the reference's. Of several recordings: the sum."""

    speech: float = 0.0
    missed: float = 0.0
    false_alarm: float = 0.0
    confused: float = 0.0

    @property
    def eder(self) -> float:
        """0 is perfect; above 1 it may come by false alarms."""
        return (self.missed + self.false_alarm + self.confused) / self.speech

    def __add__(self, other: DiarizationError) -> DiarizationError:
        return DiarizationError(*(getattr(self, f.name) + getattr(other, f.name) for f in FIELDS))


FIELDS = fields(DiarizationError)


def check_reach(reference: Sequence[Labelled], seconds: float, *, source: str) -> None:
    """Raise TableError where the reference is of a longer recording than one of `seconds`.

    source : what the reference is, for the message.

    >>> check_reach([Labelled(0, 900, "calm")], 49, source="truth.csv")
    Traceback (most recent call last):
    ser.errors.TableError: truth.csv: labels reach to 15:00, the recording lasts 0:49; expected \
labels of this recording. Name its own.
    """
    end = max((one.end for one in reference), default=0.0)
    if end > seconds + TOLERANCE:
        raise TableError(
            f"{source}: labels reach to {clock(end)}, the recording lasts {clock(seconds)}; "
            "expected labels of this recording. Name its own."
        )


def diarization_error(reference: Sequence[Labelled], found: Sequence[Labelled]) -> DiarizationError:
    """The error of `found` segments against the true ones; a found label may be None.

    Raises TableError where segments overlap, or the reference is empty or lacks an emotion.

    >>> truth = [Labelled(0, 4, "anger"), Labelled(5, 10, "calm")]
    >>> error = diarization_error(truth, [Labelled(1, 6, "anger"), Labelled(6, 10, "calm")])
    >>> error
    DiarizationError(speech=9.0, missed=1.0, false_alarm=1.0, confused=1.0)
    >>> round(error.eder, 3)
    0.333
    """
    reference = checked(reference, source="The reference")
    found = checked(found, source="The timeline")
    if not reference:
        raise TableError("The reference holds no segment; expected the emotions of the speech.")
    if any(one.label is None for one in reference):
        raise TableError("The reference holds a segment without an emotion. Name or remove it.")
    edges = sorted({t for one in (*reference, *found) for t in (one.start, one.end)})
    missed = false_alarm = confused = 0.0
    true, told = _Sweep(reference), _Sweep(found)
    for start, end in pairwise(edges):
        is_there, seems = true.at(start), told.at(start)
        if is_there is None:
            false_alarm += (end - start) * (seems is not None)
        elif seems is None:
            missed += end - start
        else:
            confused += (end - start) * (seems != is_there)
    return DiarizationError(float(total_seconds(reference)), missed, false_alarm, confused)


def majority_error(reference: Sequence[Labelled]) -> DiarizationError:
    """The error of the one emotion that is most of the speech, at the true speech: what a model
    has to be better than. That it finds the speech without an error makes it a strict standard."""
    seconds: dict[str, float] = {}
    for one in checked(reference, source="The reference"):
        seconds[one.label or ""] = seconds.get(one.label or "", 0.0) + one.seconds
    total = float(sum(seconds.values()))
    return DiarizationError(total, confused=total - max(seconds.values(), default=0.0))


class _Sweep:
    """The label at ascending times; None in silence."""

    def __init__(self, segments: Sequence[Labelled]) -> None:
        self._segments, self._place = segments, 0

    def at(self, time: float) -> str | None:
        while self._place < len(self._segments) and self._segments[self._place].end <= time:
            self._place += 1
        if self._place == len(self._segments) or self._segments[self._place].start > time:
            return None
        return self._segments[self._place].label
