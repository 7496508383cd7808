"""Whether the mean of a recording's channels still holds what its channels hold."""

from __future__ import annotations

import numpy as np

from ser.core.utterance.waveform import RUMBLE_HZ, HighPass
from ser.errors import CancellingAudio

#: Channels cancel where less than this share of the loudest one is left in the mix. All of it is
#: left where they have nothing in common, a ninth where two are inverted and differ by 1 dB.
LEAST_LEFT = 0.1
#: Mean square of a channel without sound: a thousandth of the last of 16 bits.
SILENT = 1e-15


class InCommon:
    """What channels have in common, block by block.

    An offset is no sound, and rumble that all channels hold hides speech that cancels: both are
    filtered out first.
    """

    def __init__(self, *, sr: int) -> None:
        self._above_rumble = HighPass(cutoff_hz=RUMBLE_HZ, sr=sr)
        #: Sums over the products of pairs of channels.
        self._products = np.zeros((1, 1))
        self._n = 0

    def add(self, block: np.ndarray) -> None:
        """The next block, (n_samples, n_channels)."""
        self._n += len(block)
        if block.shape[1] > 1:
            x = self._above_rumble(block).astype(np.float64)
            self._products = self._products + x.T @ x

    def check(self, *, remedy: str) -> None:
        """Raise CancellingAudio where the mix lacks what the loudest channel holds.

        remedy : `{channel}` in it becomes the place of the loudest channel, from 0 on.
        """
        products = self._products / max(1, self._n)
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
                remedy.format(channel=loudest),
            )
