"""Where in a recording speech lies, and the windows that are measured in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ser.params.timeline import TimelineParams

#: Starts of windows are multiples of this many samples from the speech's first on: frames of all
#: windows are then the same ones.
GRID = 160


@dataclass(frozen=True)
class Window:
    """Samples [start, stop); `voiced` of them are voiced."""

    start: int
    stop: int
    voiced: int


@dataclass(frozen=True)
class Piece:
    """Speech that is measured at once: samples [start, stop) and the windows in them.

    speech : the number of the speech that it is of; a long one has several pieces. end : the last
    sample of that speech, where this is its last piece.
    """

    speech: int
    start: int
    stop: int
    windows: tuple[Window, ...]
    end: int | None


class SpeechTracker:
    """Flags of frames in, speech and its windows out; any chunks of flags give the same pieces.

    Speech goes on over silence shorter than `pause_seconds`, and begins and ends `padding_seconds`
    beyond its voiced frames. Up to `whole_seconds` it is one window; longer speech has one each
    `hop_seconds`, and a last one where half a hop or more would be left over.

    frame : samples of a frame; the first begins at sample 0. sr : Hz. longest_seconds : after
    which speech that goes on is given out in part.
    """

    def __init__(
        self, params: TimelineParams, *, frame: int, sr: int, longest_seconds: float = 30.0
    ) -> None:
        self._frame = frame
        self._window, self._hop, self._whole, self._pause, self._padding = (
            round(seconds * sr / GRID) * GRID
            for seconds in (
                params.window_seconds,
                params.hop_seconds,
                params.whole_seconds,
                params.pause_seconds,
                params.padding_seconds,
            )
        )
        self._hop = max(self._hop, GRID)
        self._longest = max(round(longest_seconds * sr), self._whole + self._window)
        self._next_frame = 0
        self._number = -1
        self._speech: _Speech | None = None

    @property
    def keeps(self) -> int:
        """The first sample that a coming piece may still hold."""
        if self._speech is None:
            return max(0, self._next_frame - self._padding)
        return self._speech.keeps

    def advance(self, flags: Iterable[bool]) -> list[Piece]:
        """Pieces that the next frames complete."""
        pieces = []
        for is_speech in flags:
            first, stop = self._next_frame, self._next_frame + self._frame
            self._next_frame = stop
            own = self._speech
            if is_speech:
                if own is None:
                    self._number += 1
                    own = _Speech(self._number, max(0, first - self._padding), self._hop)
                    self._speech = own
                own.add(first, stop)
                if own.voiced_stop - own.keeps >= self._longest:
                    pieces.append(own.part(self._window))
            elif own and stop - own.voiced_stop >= self._pause:
                pieces.append(self._ended(own, own.voiced_stop + self._padding))
        return pieces

    def close(self, stop: int) -> list[Piece]:
        """The end of speech that still goes on at the recording's end, sample `stop`."""
        own = self._speech
        return [self._ended(own, min(stop, own.voiced_stop + self._padding))] if own else []

    def _ended(self, own: _Speech, end: int) -> Piece:
        self._speech = None
        return own.rest(end, window=self._window, whole=self._whole)


class _Speech:
    """Speech that is open. `spans` : voiced samples [start, stop), in order, apart."""

    def __init__(self, number: int, start: int, hop: int) -> None:
        self._number, self._start, self._hop = number, start, hop
        self._given = 0
        self._spans: list[tuple[int, int]] = []

    @property
    def voiced_stop(self) -> int:
        return self._spans[-1][1]

    @property
    def keeps(self) -> int:
        # The last window may begin before the next one on the grid.
        return self._start + max(0, self._given - 1) * self._hop

    def add(self, start: int, stop: int) -> None:
        if self._spans and self._spans[-1][1] == start:
            self._spans[-1] = (self._spans[-1][0], stop)
        else:
            self._spans.append((start, stop))

    def part(self, window: int) -> Piece:
        """All windows that end in what has come, of speech that goes on."""
        first = self.keeps
        windows = []
        while (start := self._start + self._given * self._hop) + window <= self.voiced_stop:
            windows.append(self._of(start, start + window))
            self._given += 1
        self._spans = [span for span in self._spans if span[1] > self.keeps]
        return Piece(self._number, first, windows[-1].stop, tuple(windows), None)

    def rest(self, end: int, *, window: int, whole: int) -> Piece:
        """The windows that are left of speech that ends at sample `end`."""
        if not self._given and end - self._start <= whole:
            only = self._of(self._start, end)
            return Piece(self._number, self._start, end, (only,), end)
        first, windows = self.keeps, []
        covered = self._start + (self._given - 1) * self._hop + window if self._given else 0
        while (start := self._start + self._given * self._hop) + window <= end:
            covered = start + window
            windows.append(self._of(start, covered))
            self._given += 1
        if end - covered >= self._hop / 2:
            # On the grid, so that it shares its frames.
            last = self._start + (end - window - self._start) // GRID * GRID
            windows.append(self._of(last, end))
        return Piece(self._number, first, end, tuple(windows), end)

    def _of(self, start: int, stop: int) -> Window:
        voiced = sum(max(0, min(b, stop) - max(a, start)) for a, b in self._spans)
        return Window(start, stop, voiced)
