"""Blocks of samples become one channel as they are decoded: no more is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ser.core.utterance.waveform import RUMBLE_HZ, HighPass, mono
from ser.errors import CancellingAudio, CorruptAudio

#: Channels cancel where less than this share of the loudest one is left in the mix. All of it is
#: left where they have nothing in common, a ninth where two are inverted and differ by 1 dB.
LEAST_LEFT = 0.1
#: Mean square of a channel without sound: a thousandth of the last of 16 bits.
SILENT = 1e-15


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
    # An offset is no sound, and rumble that all channels hold hides speech that cancels.
    above_rumble = HighPass(cutoff_hz=RUMBLE_HZ, sr=sr)
    # Sums over the products of pairs of channels: what they have in common.
    products = np.zeros((1, 1))
    for block in blocks:
        low, high = block.min(), block.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise CorruptAudio("holds NaN or infinite samples", "finite ones", "Export it again.")
        if low < -1 or high > 1:
            block = np.clip(block, -1, 1)
        if block.shape[1] > 1:
            x = above_rumble(block).astype(np.float64)
            products = products + x.T @ x
        gathered += np.ascontiguousarray(mono(block)).data.cast("B")
    y = np.frombuffer(gathered, np.float32)
    _check_common(products / max(1, len(y)))
    return Recording(y, sr)


def mix_all(blocks: Iterator[tuple[np.ndarray, int]]) -> Recording:
    """`mix` of a decoder's blocks, of which there is at least one, each with the rate."""
    block, sr = next(blocks)
    return mix(chain([block], (block for block, _ in blocks)), sr=sr)


def _check_common(products: np.ndarray) -> None:
    """Raises CancellingAudio where the mix lacks what the loudest channel holds.

    products : means over the products of pairs of channels, (n_channels, n_channels).
    """
    energy = products.diagonal()
    loudest = int(energy.argmax())
    if energy[loudest] <= SILENT:
        return
    left = abs(products[loudest].sum()) / energy[loudest]
    if left < LEAST_LEFT:
        raise CancellingAudio(
            f"has channels that cancel each other: mixed, its {len(energy)} channels leave "
            f"{left:.1%} of the loudest one, number {loudest + 1}",
            f"at least {LEAST_LEFT:.0%}",
            f"Take one channel, e.g. `ffmpeg -i IN -af 'pan=mono|c0=c{loudest}' OUT`, or leave "
            "it out.",
        )
