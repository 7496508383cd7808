"""Augmented waveforms: other voices, in noise, in rooms and on telephones. Pure.

A recording that is played faster has a higher pitch and a shorter vocal tract (Ko et al. 2015): it
becomes another voice of the same emotion. All recordings of a speaker change speed alike, so that a
version of a speaker is one voice, and all of a version come through one kind of channel; noise,
room and band differ between recordings. Noise of a room comes after its reverberation, and through
the telephone.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pandas as pd

from ser.core.distortion.bands import TELEPHONE_RATE, telephone
from ser.core.distortion.noises import coloured, mixed
from ser.core.distortion.rooms import impulse_response, reverberated
from ser.core.distortion.timing import sped
from ser.core.utterance.tables import utterance_keys
from ser.params import WaveformAugmentParams

#: Least change of speed, as a share of the largest one.
LEAST_CHANGE = 1 / 3
#: From which to which colour noise is drawn, in dB an octave: nearly brown to blue.
NOISE_SLOPES = (-6.0, 2.0)
#: Bits of a telephone's mu-law, from coarse to fine.
TELEPHONE_BITS = (6, 9)
#: Above which frequency a room's walls absorb sound: from curtains to tiles.
DAMPING_HZ = (1500.0, 8000.0)


def augmented(
    y: np.ndarray,
    *,
    sr: int,
    speaker: str,
    recording: str,
    version: int,
    params: WaveformAugmentParams,
) -> np.ndarray:
    """Version 1, 2, … of y (n_samples,): float32 (other n_samples,), the same for the same names.

    Odd versions are slower and lower, even ones faster and higher. Version 1 comes through the
    first of `params.channels`, version 2 through the second, and so on, again from the first.
    """
    voice = np.random.default_rng([crc32(speaker.encode()), version])
    take = np.random.default_rng([crc32(recording.encode()), version])
    change = np.log1p(params.speed) * voice.uniform(LEAST_CHANGE, 1.0)
    y = sped(y, speed=float(np.exp(-change if version % 2 else change)))
    channel = params.channels[(version - 1) % len(params.channels)]
    if channel == "room":
        y = _in_room(y, sr, params, take)
    if params.noise_db is not None:
        noise = coloured(y.size, sr=sr, db_per_octave=take.uniform(*NOISE_SLOPES), rng=take)
        y = mixed(y, noise, sr=sr, snr_db=take.uniform(*params.noise_db))
    if channel == "telephone":
        y = _by_telephone(y, sr, params, take)
    gain_db = take.uniform(-params.gain_db, params.gain_db)
    return y * np.float32(10 ** (gain_db / 20))


def versions_of(rows: pd.DataFrame, version: int) -> pd.DataFrame:
    """`rows` of a manifest with the column `version`, indexed by the keys of their features.

    A key names all that a version depends on except the parameters.
    """
    keys = [
        f"{key}.{version}.{crc32(speaker.encode()):08x}"
        for key, speaker in zip(utterance_keys(rows), rows["speaker"], strict=True)
    ]
    return rows.assign(version=version).set_axis(pd.Index(keys, dtype=object))


def _in_room(
    y: np.ndarray, sr: int, params: WaveformAugmentParams, rng: np.random.Generator
) -> np.ndarray:
    response = impulse_response(
        sr=sr,
        rt60_seconds=rng.uniform(*params.room_rt60_seconds),
        drr_db=rng.uniform(*params.room_drr_db),
        damping_hz=float(np.exp(rng.uniform(*np.log(DAMPING_HZ)))),
        rng=rng,
    )
    return reverberated(y, response=response)


def _by_telephone(
    y: np.ndarray, sr: int, params: WaveformAugmentParams, rng: np.random.Generator
) -> np.ndarray:
    return telephone(
        y,
        sr=sr,
        low_hz=rng.uniform(*params.telephone_low_hz),
        high_hz=rng.uniform(*params.telephone_high_hz),
        rate=TELEPHONE_RATE,
        bits=int(rng.integers(*TELEPHONE_BITS, endpoint=True)),
    )
