"""One channel: where speech is, and the samples of its windows, from blocks as they come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import soxr

from ser.core.streaming.incremental import is_incremental
from ser.core.timeline.segments import Labelled
from ser.core.timeline.windows import Piece, SpeechTracker, Window
from ser.core.uncertainty.abstention import Abstention, clipped_share, decide
from ser.front_end import FrontEnd
from ser.params.timeline import TimelineParams
from ser.timeline.samples import Envelope
from ser.vad.streaming import FRAME, SR, StreamingDetector

#: Frames that the detector takes at once: half a second.
AT_ONCE = 16


@dataclass(frozen=True)
class Work:
    """What another process needs to extract windows of one piece.

    samples : float32, as bytes: arrays of this size would travel by files. sr : Hz. windows :
    samples [start, stop) in them.
    """

    samples: bytes
    sr: int
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Heard:
    """A piece of speech; `refused` : why a window cannot be measured, by the signal."""

    channel: int
    piece: Piece
    refused: tuple[Abstention | None, ...]
    work: Work

    def without_samples(self) -> Heard:
        """The same, for whoever keeps it until the recording's end."""
        return replace(self, work=replace(self.work, samples=b""))

    @property
    def seconds(self) -> float:
        """Of audio that its windows hold, which is what the work costs."""
        return sum(stop - start for start, stop in self.work.windows) / self.work.sr


class Listener:
    """Takes blocks of a channel at `sr` Hz, of one size, and gives pieces of speech.

    Speech is detected at 16 kHz. Features are taken at that rate where frames of neighbouring
    windows can be shared, else from samples as recorded. Clipping is sought in these anyway.
    """

    def __init__(
        self, channel: int, front_end: FrontEnd, params: TimelineParams, *, sr: int
    ) -> None:
        self._channel, self._front_end, self._sr = channel, front_end, sr
        self._resampler = (
            soxr.ResampleStream(sr, SR, 1, dtype="float32", quality="HQ") if sr != SR else None
        )
        self._is_incremental = front_end.encoder_sr is None and is_incremental(
            front_end.features, sr=SR
        )
        detector = front_end.abstention.detector
        self._detector = StreamingDetector(detector=detector, at_once=AT_ONCE)
        self._tracker = SpeechTracker(params, frame=FRAME, sr=SR)
        self._low, self._raw = Kept(), Kept()
        self.envelope = Envelope()
        #: By number; a speech is there when its last piece is.
        self.speech: list[Labelled] = []
        self._begin: int | None = None

    def feed(self, y: np.ndarray) -> list[Heard]:
        """Pieces that the next block (n_samples,) completes."""
        self.envelope.add(y)
        self._raw.extend(y)
        low = y if self._resampler is None else self._resampler.resample_chunk(y)
        return self._listen(low)

    def close(self) -> list[Heard]:
        """Pieces of speech that still goes on at the end."""
        heard = []
        if self._resampler is not None:
            heard = self._listen(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        pieces = self._tracker.advance(self._detector.close())
        pieces += self._tracker.close(self._low.stop)
        return heard + [self._heard(piece) for piece in pieces]

    def _listen(self, low: np.ndarray) -> list[Heard]:
        self._low.extend(low)
        pieces = self._tracker.advance(self._detector(low))
        heard = [self._heard(piece) for piece in pieces]
        self._low.forget(self._tracker.keeps)
        self._raw.forget(self._tracker.keeps * self._sr // SR)
        return heard

    def _heard(self, piece: Piece) -> Heard:
        self._begin = piece.start if self._begin is None else self._begin
        if piece.end is not None:
            self.speech.append(Labelled(self._begin / SR, piece.end / SR))
            self._begin = None
        refused = tuple(map(self._refused, piece.windows))
        fit = [w for w, why in zip(piece.windows, refused, strict=True) if why is None]
        kept, sr = (self._low, SR) if self._is_incremental else (self._raw, self._sr)
        at = [(w.start * sr // SR, w.stop * sr // SR) for w in fit]
        first = piece.start * sr // SR
        samples = kept.cut(first, piece.stop * sr // SR) if fit else np.zeros(0, np.float32)
        work = Work(samples.tobytes(), sr, tuple((a - first, b - first) for a, b in at))
        return Heard(self._channel, piece, refused, work)

    def _refused(self, window: Window) -> Abstention | None:
        raw = self._raw.cut(window.start * self._sr // SR, window.stop * self._sr // SR)
        return decide(
            self._front_end.abstention,
            seconds=(window.stop - window.start) / SR,
            speech_seconds=window.voiced / SR,
            clipped=clipped_share(raw),
        )


class Kept:
    """The last samples of a signal, by their position in it."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._start = self.stop = 0

    def extend(self, y: np.ndarray) -> None:
        if y.size:
            self._blocks.append(y)
            self.stop += y.size

    def cut(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop), which must not be forgotten yet."""
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        (block,) = self._blocks
        return block[max(0, start - self._start) : stop - self._start]

    def forget(self, before: int) -> None:
        """Samples before this position are not asked for any more."""
        while self._blocks and self._start + self._blocks[0].size <= before:
            self._start += self._blocks.pop(0).size
        # One large block of which a little is needed is cut; small ones go as a whole.
        if self._blocks and before - self._start > self._blocks[0].size // 2:
            self._blocks[0] = self._blocks[0][before - self._start :].copy()
            self._start = before
