"""Blocks of samples become one channel as they are decoded: no more is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ser.core.utterance.mixing import InCommon
from ser.core.utterance.waveform import mono
from ser.errors import CorruptAudio

REMEDY = "Take one channel, e.g. `ffmpeg -i IN -af 'pan=mono|c0=c{channel}' OUT`, or leave it out."


@dataclass(frozen=True)
class Recording:
    """y : float32 (n_samples,), the mean of the channels, finite, within ±1."""

    y: np.ndarray
    sr: int

    @property
    def seconds(self) -> float:
        return len(self.y) / self.sr


def mix(blocks: Iterable[np.ndarray], *, sr: int) -> Recording:
    """The recording that blocks, float32 (n_samples, n_channels), at `sr` Hz are in a row.

    Samples beyond ±1 are set to it. Raises CorruptAudio where samples are not finite,
    CancellingAudio where the channels cancel.
    """
    gathered = bytearray()
    in_common = InCommon(sr=sr)
    for block in blocks:
        low, high = block.min(), block.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise CorruptAudio("holds NaN or infinite samples", "finite ones", "Export it again.")
        if low < -1 or high > 1:
            block = np.clip(block, -1, 1)
        in_common.add(block)
        gathered += np.ascontiguousarray(mono(block)).data.cast("B")
    in_common.check(remedy=REMEDY)
    return Recording(np.frombuffer(gathered, np.float32), sr)


def mix_all(blocks: Iterator[tuple[np.ndarray, int]]) -> Recording:
    """`mix` of a decoder's blocks, of which there is at least one, each with the rate."""
    block, sr = next(blocks)
    return mix(chain([block], (block for block, _ in blocks)), sr=sr)
