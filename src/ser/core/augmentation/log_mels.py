"""Augmented log-mels: other speakers, speeds and microphones, the same emotion. Pure.

A log-mel has a hundredth as many numbers as the samples, and needs no second STFT.
"""

from __future__ import annotations

import numpy as np

from ser.params import LogMelAugmentParams

#: dB of a factor e of power, and the largest slope of added noise over all bands.
NEPER_DB, SLOPE_DB = np.float32(10 / np.log(10)), 20.0


def augment(
    log_mel: np.ndarray, *, params: LogMelAugmentParams, rng: np.random.Generator
) -> np.ndarray:
    """A changed copy of log_mel (n_frames, n_mels), dB: float32 (other n_frames, n_mels)."""
    speed = np.exp(rng.uniform(-1, 1) * np.log1p(params.stretch))
    scale = 1.0 + params.warp * rng.uniform(-1, 1)
    shift = params.shift * rng.uniform(-1, 1)
    x = resampled(log_mel, speed=speed, scale=scale, shift=shift)
    x += _tilt(x.shape[1], params.tilt_db, rng)
    if params.floor_db is not None:
        below_db, slope_db = rng.uniform(*params.floor_db), rng.uniform(-SLOPE_DB, SLOPE_DB)
        x = floored(x, below_db=below_db, slope_db=slope_db)
    return masked(
        x, masks=params.masks, bands=params.mask_bands, frames=params.mask_frames, rng=rng
    )


def resampled(log_mel: np.ndarray, *, speed: float, scale: float, shift: float) -> np.ndarray:
    """log_mel (n_frames, n_mels) played `speed` times as fast, its mel axis scaled and shifted.

    Band m of the result is band `m / scale - shift` of the input (vocal tract length
    perturbation, Jaitly and Hinton 2013); beyond the edges the edge bands repeat.
    """
    n_frames, n_mels = log_mel.shape
    x = np.asarray(log_mel, dtype=np.float32)
    if scale != 1.0 or shift != 0.0:
        x = _interpolated(x.T, np.arange(n_mels) / scale - shift).T
    if speed != 1.0:
        x = _interpolated(x, np.arange(max(1, round(n_frames / speed))) * speed)
    return np.array(x, dtype=np.float32)


def floored(x: np.ndarray, *, below_db: float, slope_db: float = 0.0) -> np.ndarray:
    """x (n_frames, n_mels), dB, with steady noise `below_db` below its loudest bin: float32.

    slope_db : by how much the noise is louder in the last band than in the first. Powers are added:
    what noise is on average.
    """
    noise = x.max() - below_db + slope_db * np.linspace(-0.5, 0.5, x.shape[1], dtype=np.float32)
    above = np.abs(x - noise.astype(np.float32))
    result: np.ndarray = np.maximum(x, noise) + NEPER_DB * np.log(1 + np.exp(-above / NEPER_DB))
    return result.astype(np.float32, copy=False)


def masked(
    x: np.ndarray, *, masks: int, bands: int, frames: int, rng: np.random.Generator
) -> np.ndarray:
    """x (n_frames, n_mels) with stripes over mel and time set to its mean, in place.

    SpecAugment (Park et al. 2019). A stripe of time covers a fifth of the utterance at most.
    """
    n_frames, n_mels = x.shape
    fill = x.mean()
    for _ in range(masks):
        width = int(rng.integers(0, min(bands, n_mels // 2) + 1))
        start = int(rng.integers(0, n_mels - width + 1))
        x[:, start : start + width] = fill
        width = int(rng.integers(0, min(frames, n_frames // 5) + 1))
        start = int(rng.integers(0, n_frames - width + 1))
        x[start : start + width] = fill
    return x


def cropped(x: np.ndarray, *, frames: int, rng: np.random.Generator) -> np.ndarray:
    """A random stretch of `frames` frames of x (n_frames, n_mels), or x when it is shorter."""
    spare = len(x) - frames
    start = int(rng.integers(0, spare + 1)) if spare > 0 else 0
    return x[start : start + frames]


def _interpolated(x: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Rows of x at fractional `position`s, held inside x."""
    position = np.clip(position, 0, len(x) - 1)
    low = position.astype(np.intp)
    weight = (position - low).astype(np.float32)[:, None]
    return x[low] * (1 - weight) + x[np.minimum(low + 1, len(x) - 1)] * weight


def _tilt(n_mels: int, tilt_db: float, rng: np.random.Generator) -> np.ndarray:
    """A random slope and curve over mel, float32 (n_mels,), dB."""
    axis = np.linspace(-1, 1, n_mels, dtype=np.float32)
    slope, bend = rng.uniform(-tilt_db, tilt_db, size=2).astype(np.float32)
    curve: np.ndarray = slope * axis + 0.5 * bend * (axis**2 - 1 / 3)
    return curve
