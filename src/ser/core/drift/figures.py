"""The figures of a recording that are compared: what each is, and reading them off functionals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ser.core.features.extract import functional_names
from ser.core.features.spectrum import mel_edges
from ser.params import FeatureParams

#: Names the form of a look's document.
SCHEMA = "ser.drift/1"
#: Bands whose 95th percentile lies this far below the loudest band's are outside the bandwidth.
#: Between what speech itself falls towards high frequencies and the floor of log-mels (80 dB).
BANDWIDTH_DB = 50.0
#: Levels and ratios are kept within ± this many dB: digital silence has none.
MOST_DB = 100.0


@dataclass(frozen=True)
class Compared:
    """name : of its column in the traffic log; label, unit : for people."""

    name: str
    label: str
    unit: str = ""


#: Not the level: `features.level_db` makes every utterance equally loud.
FIGURES = (
    Compared("duration_seconds", "duration", "s"),
    Compared("snr_db", "signal-to-noise ratio", "dB"),
    Compared("bandwidth_hz", "bandwidth", "Hz"),
    Compared("pitch_hz", "pitch", "Hz"),
    Compared("novelty", "novelty"),
    Compared("confidence", "confidence"),
)
NAMES = tuple(figure.name for figure in FIGURES)
BY_NAME = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True)
class Sound:
    """What is read off functionals; pitch_hz is None where no frame is voiced."""

    snr_db: float
    bandwidth_hz: float
    pitch_hz: float | None


def sound_of(functionals: np.ndarray, params: FeatureParams) -> Sound | None:
    """Figures of an utterance's functionals, (n_functionals,); None with other ones than ours.

    - snr_db is an estimate: 10 log10((p95² - p05²) / p05²) of the frames' RMS, which takes the
      frames at the 5th percentile for noise alone. Its signal is the loudest speech: with white
      noise it reads 7 to 12 dB above the ratio of mean powers. Without pauses it is too low.
    - bandwidth_hz is the upper edge of the highest mel band whose 95th percentile lies within
      `BANDWIDTH_DB` of the loudest band's. It is a band's width coarse, and at most half of
      `params.sr`.
    - pitch_hz is the median F0 of voiced frames.
    """
    if params.functionals != "ser":
        return None
    places = _places(params)
    quiet, loud = np.square(functionals[places.rms], dtype=np.float64)
    bands = functionals[places.log_mels]
    within = np.flatnonzero(bands >= bands.max() - BANDWIDTH_DB)
    pitch = float(functionals[places.pitch])
    return Sound(
        snr_db=round(decibels((loud - quiet) / quiet if quiet > 0 else math.inf), 2),
        bandwidth_hz=places.upper_edges[within[-1]],
        pitch_hz=round(pitch, 2) if pitch > 0 else None,
    )


def label_of(name: str) -> str:
    """What people call a figure, or whatever else drifted.

    >>> label_of("snr_db")
    'signal-to-noise ratio'
    """
    return BY_NAME[name].label if name in BY_NAME else name


def decibels(ratio: float) -> float:
    """10 log10 of a power ratio, within ± `MOST_DB`."""
    if ratio <= 0:
        return -MOST_DB
    return min(max(10 * math.log10(ratio), -MOST_DB), MOST_DB) if ratio < math.inf else MOST_DB


@dataclass(frozen=True)
class _Places:
    """Where in the functionals: rms (2,) its 5th and 95th percentile, log_mels (n_mels,) their
    95th; upper_edges : Hz of each mel band."""

    rms: np.ndarray
    log_mels: np.ndarray
    pitch: int
    upper_edges: tuple[float, ...]


@lru_cache(maxsize=8)
def _places(params: FeatureParams) -> _Places:
    place = {name: i for i, name in enumerate(functional_names(params))}
    edges = mel_edges(params.sr, params.n_mels)
    return _Places(
        np.array([place["rms_p05"], place["rms_p95"]]),
        np.array([place[f"log_mel_{band:02d}_p95"] for band in range(params.n_mels)]),
        place["f0_p50"],
        tuple(round(float(edge), 1) for edge in edges[2:]),
    )
