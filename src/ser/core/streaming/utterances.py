"""Where utterances begin and end in live audio, and when they are measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ser.params.serving import StreamParams

#: Why an utterance ended: nobody speaks, it is the longest allowed, or the stream was closed.
Ending = Literal["silence", "longest", "closed"]


@dataclass(frozen=True)
class Began:
    """An utterance begins at this sample."""

    start: int


@dataclass(frozen=True)
class Due:
    """Samples [start, stop) of the utterance are to be measured; `voiced` of them are voiced."""

    start: int
    stop: int
    voiced: int


@dataclass(frozen=True)
class Ended:
    """The utterance was samples [start, stop); `voiced` of them are voiced."""

    start: int
    stop: int
    voiced: int
    reason: Ending


Step = Began | Due | Ended


class UtteranceTracker:
    """Flags of frames in, steps out, in the order of the samples at which they are due.

    Steps depend on flags and positions alone, never on how many samples come at a time. At one
    sample a frame counts first, then the end of the utterance, then the hop.

    frame : samples of a frame of the speech detector; the first begins at sample `start`.
    """

    def __init__(self, params: StreamParams, *, frame: int, start: int = 0) -> None:
        self._frame = frame
        self._window = params.samples(params.window_seconds)
        self._hop = params.samples(params.hop_seconds)
        self._first_voiced = params.samples(params.first_voiced_seconds)
        self._silence = params.samples(params.end_silence_seconds)
        self._longest = params.samples(params.longest_seconds)
        self._preroll = params.samples(params.preroll_seconds)
        #: Start of the next frame, and the sample before which no utterance may begin.
        self._next_frame, self._earliest = start, start
        self._utterance: _Utterance | None = None

    @property
    def start(self) -> int | None:
        """First sample of the utterance that is open."""
        return self._utterance.start if self._utterance else None

    @property
    def lookback(self) -> int:
        """Samples before the next frame that a coming utterance may still take."""
        return self._preroll

    def advance(self, stop: int, flags: Iterable[bool]) -> list[Step]:
        """Steps that are due up to sample `stop`, `flags` of the frames that end up to there."""
        steps: list[Step] = []
        coming = iter(flags)
        while True:
            frame_due = self._next_frame + self._frame
            own = self._utterance
            end_due = self._end_due(own) if own else frame_due
            hop_due = own.start + own.hops * self._hop if own else frame_due
            due = min(frame_due, end_due, hop_due)
            if due > stop:
                return steps
            if due == frame_due:
                self._take_frame(next(coming), steps)
            elif due == end_due:
                steps.append(self._ended(due))
            else:
                assert own is not None
                own.hops += 1
                if own.voiced(own.start) >= self._first_voiced:
                    start = max(own.start, due - self._window)
                    steps.append(Due(start, due, own.voiced(start)))

    def close(self, stop: int) -> list[Step]:
        """End the utterance that is open at sample `stop`."""
        return [self._ended(stop, "closed")] if self._utterance else []

    def _take_frame(self, is_speech: bool, steps: list[Step]) -> None:
        first, end = self._next_frame, self._next_frame + self._frame
        self._next_frame = end
        if not is_speech:
            return
        if self._utterance is None:
            start = max(self._earliest, first - self._preroll)
            self._utterance = _Utterance(start, hops=(end - start) // self._hop + 1)
            steps.append(Began(start))
        self._utterance.add(max(first, self._earliest), end)

    def _end_due(self, own: _Utterance) -> int:
        return min(own.spans[-1][1] + self._silence, own.start + self._longest)

    def _ended(self, stop: int, reason: Ending | None = None) -> Ended:
        own = self._utterance
        assert own is not None
        if reason is None:
            reason = "longest" if stop == own.start + self._longest else "silence"
        self._utterance, self._earliest = None, stop
        return Ended(own.start, stop, own.voiced(own.start), reason)


class _Utterance:
    """hops : number of the next hop. spans : voiced samples [start, stop), in order, apart."""

    def __init__(self, start: int, *, hops: int) -> None:
        self.start, self.hops = start, hops
        self.spans: list[tuple[int, int]] = []

    def add(self, start: int, stop: int) -> None:
        if self.spans and self.spans[-1][1] == start:
            self.spans[-1] = (self.spans[-1][0], stop)
        else:
            self.spans.append((start, stop))

    def voiced(self, since: int) -> int:
        """Voiced samples from `since` on."""
        total = 0
        for start, stop in reversed(self.spans):
            if stop <= since:
                break
            total += stop - max(start, since)
        return total
