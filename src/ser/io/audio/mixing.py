"""Blocks of samples as they are decoded become one channel at one rate: no more is held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import soxr

from ser.core.utterance.waveform import RUMBLE_HZ, HighPass, mono
from ser.errors import CancellingAudio, CorruptAudio

#: What is left in the mix of the loudest channel, as a share of what it holds, from which on
#: channels cancel. Of channels that have nothing in common all of it is left, of two that are
#: inverted and differ by 1 dB a ninth.
LEAST_LEFT = 0.1
#: Mean square of a channel without sound: a thousandth of the last of 16 bits.
SILENT = 1e-15


@dataclass(frozen=True)
class Recording:
    """Decoded samples.

    y : float32 (n_samples,), the mean of the channels, finite, within ±1.
    clipped : how many samples of all channels lay beyond ±1 and were set to it.
    """

    y: np.ndarray
    sr: int
    clipped: int = 0

    @property
    def seconds(self) -> float:
        return len(self.y) / self.sr


def mix(
    blocks: Iterable[np.ndarray], *, sr: int, name: str, sr_out: int | None = None
) -> Recording:
    """The recording that blocks, float32 (n_samples, n_channels), at `sr` Hz are in a row.

    sr_out : Hz to which the mix is resampled, exactly as `waveform.resample` does.
    Raises CorruptAudio where samples are not finite, CancellingAudio where the channels cancel.
    """
    stream = None
    if sr_out is not None and sr_out != sr:
        stream = soxr.ResampleStream(sr, sr_out, 1, dtype="float32", quality="HQ")
    gathered, clipped, common = bytearray(), 0, _Common(sr)
    for block in blocks:
        low, high = block.min(), block.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise CorruptAudio(f"{name} holds samples that are not finite. Export it again.")
        if low < -1 or high > 1:
            clipped += int(np.count_nonzero(np.abs(block) > 1))
            block = np.clip(block, -1, 1)
        common.add(block)
        y = mono(block)
        gathered += _bytes(stream.resample_chunk(y) if stream else y)
    common.check(name)
    if stream:
        gathered += _bytes(stream.resample_chunk(np.empty(0, np.float32), last=True))
    return Recording(np.frombuffer(gathered, np.float32), sr_out or sr, clipped)


class _Common:
    """What the channels have in common above rumble: sums over the products of pairs."""

    def __init__(self, sr: int) -> None:
        self._n_samples = 0
        # An offset is no sound, and rumble that all channels hold hides speech that cancels.
        self._above_rumble = HighPass(cutoff_hz=RUMBLE_HZ, sr=sr)
        self._products: np.ndarray | float = 0.0

    def add(self, block: np.ndarray) -> None:
        if block.shape[1] == 1:
            return
        x = self._above_rumble(block).astype(np.float64)
        self._n_samples += len(x)
        self._products = self._products + x.T @ x

    def check(self, name: str) -> None:
        """Raises CancellingAudio where the mix lacks what the loudest channel holds."""
        if self._n_samples == 0:
            return
        shared = np.asarray(self._products)
        energy = shared.diagonal()
        loudest = int(energy.argmax())
        if energy[loudest] <= SILENT * self._n_samples:
            return
        if abs(shared[loudest].sum()) >= LEAST_LEFT * energy[loudest]:
            return
        raise CancellingAudio(
            f"{name}: the channels cancel each other: mixed, its {len(energy)} channels leave "
            f"{abs(shared[loudest].sum()) / energy[loudest]:.1%} of the loudest one, number "
            f"{loudest + 1}; expected at least {LEAST_LEFT:.0%}. Take one channel, e.g. "
            f"`ffmpeg -i IN -af 'pan=mono|c0=c{loudest}' OUT`, or leave it out."
        )


def _bytes(y: np.ndarray) -> memoryview:
    return np.ascontiguousarray(y, dtype=np.float32).data.cast("B")
