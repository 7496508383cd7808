"""What a model takes, of an utterance that grows: frame by frame where that is possible."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ser.core.streaming.growing import Growing
from ser.core.streaming.incremental import GrowingUtterance, is_incremental
from ser.core.uncertainty.abstention import Abstention
from ser.front_end import Extracted, FrontEnd


class Extraction(Protocol):
    """Of the samples of one utterance, from its first on."""

    @property
    def raw(self) -> np.ndarray:
        """All samples that have come."""

    def extend(self, y: np.ndarray) -> None:
        """Take the next samples, y float32 (n_samples,)."""

    def extract(self, start: int, stop: int) -> Extracted:
        """As `FrontEnd.extract` of samples [start, stop); raises as it does."""

    def take(self) -> Abstention | Extracted:
        """As `FrontEnd.take` of all samples; raises as it does."""


def extraction_for(front_end: FrontEnd, *, sr: int) -> Extraction:
    """For an utterance at `sr` Hz: incremental, or from the whole stretch each time.

    The latter where features are not our own or lie on another grid, where the bundle has another
    rate, and where an encoder takes the waveform.
    """
    if front_end.encoder_sr is None and is_incremental(front_end.features, sr=sr):
        return Incremental(front_end)
    return Batch(front_end, sr=sr)


class Incremental:
    """An `Extraction` that computes a frame once."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._utterance = GrowingUtterance(front_end.features)

    @property
    def raw(self) -> np.ndarray:
        return self._utterance.raw

    def extend(self, y: np.ndarray) -> None:
        self._utterance.extend(y)

    def extract(self, start: int, stop: int) -> Extracted:
        return Extracted(self._utterance.features_of(start, stop))

    def take(self) -> Abstention | Extracted:
        own = self._utterance
        refused = self._front_end.refuse_audible(
            own.raw, own.audible, sr=self._front_end.features.sr
        )
        return refused or self.extract(0, len(own))


class Batch:
    """An `Extraction` by `FrontEnd`."""

    def __init__(self, front_end: FrontEnd, *, sr: int) -> None:
        self._front_end, self._sr = front_end, sr
        self._samples = Growing(room=2**16)

    @property
    def raw(self) -> np.ndarray:
        return self._samples.rows

    def extend(self, y: np.ndarray) -> None:
        self._samples.extend(y)

    def extract(self, start: int, stop: int) -> Extracted:
        return self._front_end.extract(self.raw[start:stop], sr=self._sr)

    def take(self) -> Abstention | Extracted:
        return self._front_end.take(self.raw, sr=self._sr)
