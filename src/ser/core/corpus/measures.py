"""What is measured of an utterance as it was recorded: level, noise, clipping, pitch. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from ser.core.features.extract import audible, speech_bounds
from ser.core.features.pitch import is_voiced, track_f0
from ser.core.features.spectrum import centred_frames, power_blocks
from ser.core.uncertainty.abstention import clipped_share
from ser.params import FeatureParams

#: Blocks whose power tells speech from noise.
BLOCK_SECONDS = 0.020
#: The share of the blocks that is taken for pauses: the quietest ones.
PAUSES = 0.10
#: Blocks this far below the loudest are speech still.
SPEECH_DB = 20.0
#: Signal-to-noise ratios beyond these bounds are no more than a guess.
LEAST_SNR_DB, MOST_SNR_DB = -10.0, 90.0
#: How `snr_db` is estimated, in one sentence for pages and tables.
SNR_METHOD = (
    "SNR is an estimate: the power of the loud 20 ms blocks (within 20 dB of the loudest) over "
    "that of the quietest tenth of the blocks. Without pauses it comes out too low."
)


@dataclass(frozen=True)
class Measures:
    """Of one utterance; NaN where there is nothing to measure.

    level_db, peak_db : root mean square of the speech and largest sample, dB re full scale;
    snr_db : see `snr_db`; clipped_share : of the samples; f0_median : Hz, over voiced frames;
    f0_range : semitones from the 5th to the 95th percentile; voiced_share : of the frames.
    """

    level_db: float
    peak_db: float
    snr_db: float
    clipped_share: float
    f0_median: float
    f0_range: float
    voiced_share: float


#: Names of the columns.
MEASURES = tuple(field.name for field in fields(Measures))


def measure(y: np.ndarray, *, sr: int, params: FeatureParams) -> Measures:
    """Measures of mono y (n_samples,) at `sr` Hz, as decoded.

    params : of the features: their rate, high-pass filter, trimming and range of F0.
    Raises EmptyAudio or AudioError as `speech_bounds` does.
    """
    heard = audible(y, sr=sr, params=params)
    start, stop = speech_bounds(heard, params=params)
    speech = heard[start:stop]
    f0, share = _f0(speech, params=params)
    low, middle, high = np.percentile(f0, [5, 50, 95]) if f0.size else (math.nan,) * 3
    return Measures(
        level_db=_db(float(np.sqrt(np.mean(np.square(speech, dtype=np.float64))))),
        peak_db=_db(float(np.abs(y).max())),
        snr_db=snr_db(heard, sr=params.sr),
        clipped_share=clipped_share(y),
        f0_median=float(middle),
        f0_range=12 * math.log2(high / low) if f0.size else math.nan,
        voiced_share=share,
    )


def snr_db(y: np.ndarray, *, sr: int) -> float:
    """Estimated signal-to-noise ratio (dB) of y (n_samples,), between the two bounds.

    The mean power of the blocks within `SPEECH_DB` of the loudest, less that of the pauses, over
    the power of the pauses: the quietest `PAUSES` of the blocks, as in NIST's STNR. Blocks of
    digital silence are neither: editing puts them there. NaN below ten blocks.

    >>> rng = np.random.default_rng(0)
    >>> noise, burst = rng.standard_normal(32_000), np.arange(32_000) % 16_000 < 8_000
    >>> round(snr_db(burst * 10 * rng.standard_normal(32_000) + noise, sr=16_000), -1)
    20.0
    """
    block = max(1, round(BLOCK_SECONDS * sr))
    whole = y[: y.size // block * block].reshape(-1, block)
    power = np.square(whole, dtype=np.float64).mean(axis=1)
    power = np.sort(power[power > 0])
    if power.size < 1 / PAUSES:
        return math.nan
    noise = float(power[: round(PAUSES * power.size)].mean())
    speech = float(power[power > power[-1] * 10 ** (-SPEECH_DB / 10)].mean())
    ratio = max(speech - noise, 0.0) / noise
    found = 10 * math.log10(ratio) if ratio > 0 else LEAST_SNR_DB
    return min(max(found, LEAST_SNR_DB), MOST_SNR_DB)


def _f0(y: np.ndarray, *, params: FeatureParams) -> tuple[np.ndarray, float]:
    """F0 (Hz) of the voiced frames of y (n_samples,), and their share of all frames."""
    frames = centred_frames(y, n_fft=params.n_fft, hop_length=params.hop_length)
    f0, harmonicity = np.empty((2, len(frames)))
    for rows, power in power_blocks(frames):
        f0[rows], harmonicity[rows] = track_f0(
            power, sr=params.sr, n_fft=params.n_fft, f0_min=params.f0_min, f0_max=params.f0_max
        )
    rms = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    voiced = is_voiced(harmonicity, rms=rms)
    return f0[voiced], float(voiced.mean())


def _db(value: float) -> float:
    return 20 * math.log10(max(value, 1e-10))
