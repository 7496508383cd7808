"""A log-mel with what each frame and mel adds to the answer, and where most of it lies. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser.core.features.byol_mel import F_MAX, F_MIN
from ser.core.features.spectrum import mel_edges
from ser.params import FeatureParams

#: Regions that are named: seconds, and edges of the bands in Hz.
REGION_SECONDS = 0.2
BANDS_HZ = (0.0, 500.0, 1000.0, 2000.0, 4000.0, np.inf)


@dataclass(frozen=True)
class Region:
    """A stretch of time (s, of the recording) and a band (Hz), and its share in the log-odds."""

    start: float
    end: float
    low_hz: float
    high_hz: float
    value: float


@dataclass(frozen=True)
class Spectrogram:
    """log_mel, values : (n_frames, n_mels), dB and shares in the log-odds; start : of the first
    frame in the recording, s; hop : s from frame to frame; hertz : (n_mels,) centres of the bands;
    method : by which the shares were found."""

    log_mel: np.ndarray
    values: np.ndarray
    start: float
    hop: float
    hertz: np.ndarray
    method: str

    def regions(self) -> list[Region]:
        """All regions, the largest share first."""
        width = max(1, round(REGION_SECONDS / self.hop))
        places = range(0, len(self.values), width)
        edges = np.searchsorted(self.hertz, BANDS_HZ[:-1])
        # Edges that fall together, of a narrow band of mels, make one.
        edges = np.unique(edges[edges < self.values.shape[1]])
        cells = np.add.reduceat(np.add.reduceat(self.values, places, axis=0), edges, axis=1)
        highest = [*(BANDS_HZ[np.searchsorted(BANDS_HZ, self.hertz[e])] for e in edges)]
        found = [
            Region(
                float(self.start + place * self.hop),
                float(self.start + min(place + width, len(self.values)) * self.hop),
                BANDS_HZ[BANDS_HZ.index(high) - 1],
                float(min(high, self._top)),
                float(cells[row, column]),
            )
            for row, place in enumerate(places)
            for column, high in enumerate(highest)
        ]
        return sorted(found, key=lambda region: -abs(region.value))

    @property
    def _top(self) -> float:
        return float(np.ceil(self.hertz[-1] / 1000) * 1000)


def centres_hz(features: FeatureParams, n_mels: int) -> np.ndarray:
    """Centres of the mel bands of these feature parameters, Hz: (n_mels,)."""
    if features.log_mel == "ser":
        return mel_edges(features.sr, n_mels)[1:-1]
    # HTK's mel scale, on which BYOL-S's bands are even.
    low, high = (2595 * np.log10(1 + f / 700) for f in (F_MIN, F_MAX))
    mel = np.linspace(low, high, n_mels + 2)[1:-1]
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
