"""Augmented waveforms: other voices, noise and levels. Pure.

A recording that is played faster has a higher pitch and a shorter vocal tract (Ko et al. 2015): it
becomes another voice of the same emotion. All recordings of a speaker change speed alike, so that a
version of a speaker is one voice; noise differs between recordings.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pandas as pd
import scipy
import soxr

from ser.core.utterance.tables import utterance_keys
from ser.params import WaveformAugmentParams

#: Least change of speed, as a share of the largest one.
LEAST_CHANGE = 1 / 3
#: Largest pole of the filter that colours noise, from white (0) to nearly brown.
MOST_COLOUR = 0.95


def augmented(
    y: np.ndarray, *, speaker: str, recording: str, version: int, params: WaveformAugmentParams
) -> np.ndarray:
    """Version 1, 2, … of y (n_samples,): float32 (other n_samples,), the same for the same names.

    Odd versions are slower and lower, even ones faster and higher.
    """
    voice = np.random.default_rng([crc32(speaker.encode()), version])
    take = np.random.default_rng([crc32(recording.encode()), version])
    change = np.log1p(params.speed) * voice.uniform(LEAST_CHANGE, 1.0)
    y = played(y, speed=float(np.exp(-change if version % 2 else change)))
    if params.noise_db is not None:
        y = noisy(y, snr_db=take.uniform(*params.noise_db), rng=take)
    gain_db = take.uniform(-params.gain_db, params.gain_db)
    return y * np.float32(10 ** (gain_db / 20))


def played(y: np.ndarray, *, speed: float) -> np.ndarray:
    """y (n_samples,) played `speed` times as fast, at the same rate: float32."""
    return np.asarray(soxr.resample(y, speed, 1.0, quality="HQ"), dtype=np.float32)


def noisy(y: np.ndarray, *, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """y (n_samples,) with noise of a random colour, `snr_db` below it: float32."""
    colour = rng.uniform(0.0, MOST_COLOUR)
    noise = scipy.signal.lfilter([1.0], [1.0, -colour], rng.standard_normal(y.size))
    ratio = np.sqrt(np.mean(np.square(y, dtype=np.float64)) / np.mean(np.square(noise)))
    return y + (noise * ratio * 10 ** (-snr_db / 20)).astype(np.float32)


def versions_of(rows: pd.DataFrame, version: int) -> pd.DataFrame:
    """`rows` of a manifest with the column `version`, indexed by the keys of their features.

    A key names all that a version depends on except the parameters.
    """
    keys = [
        f"{key}.{version}.{crc32(speaker.encode()):08x}"
        for key, speaker in zip(utterance_keys(rows), rows["speaker"], strict=True)
    ]
    return rows.assign(version=version).set_axis(pd.Index(keys, dtype=object))
