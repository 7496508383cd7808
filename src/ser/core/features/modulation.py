"""How fast and how finely an utterance's spectrum is modulated. Pure.

Small patches of log-mel, a third of a second by a quarter of the bands, are taken apart into
waves over time and mel; a wave's power tells of glides, formants and trembling, and its phase,
which depends on when and how high, is left out (modulation spectra after Singh and Theunissen
2003, on patches as in Welch's method).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: A patch and the steps from one to the next.
FRAMES, BANDS = 32, 16
FRAME_STEP, BAND_STEP = 8, 8
#: Waves that are kept: per patch over time, and over mel, upwards and downwards.
OVER_TIME, OVER_MEL = 7, 5
#: Log-mel is in dB; power is of tens of dB, and this much of it is taken for stillness.
UNIT_DB, FLOOR = 10.0, 0.1


@lru_cache(maxsize=8)
def modulation_names(n_mels: int) -> tuple[str, ...]:
    """Names of what `modulation` returns: `modulation_08_t2_m-1` starts at band 8."""
    waves = [*range(OVER_MEL), *range(1 - OVER_MEL, 0)]
    return tuple(
        f"modulation_{band:02d}_t{t}_m{m}"
        for band in range(0, max(n_mels - BANDS, 0) + 1, BAND_STEP)
        for t in range(OVER_TIME)
        for m in waves
    )


def modulation(log_mel: np.ndarray) -> np.ndarray:
    """Log-powers of the waves in log_mel (n_frames, n_mels), dB: float32, finite.

    Each patch is taken less its mean and under Hann's window over both axes. Shorter or narrower
    log-mels than a patch repeat their edges.
    """
    lacking = [
        max(0, size - have) for size, have in zip((FRAMES, BANDS), log_mel.shape, strict=True)
    ]
    x = np.pad(
        np.asarray(log_mel, dtype=np.float32) / UNIT_DB, [(0, n) for n in lacking], mode="edge"
    )
    over_time, over_mel, of_one = _waves()
    # Over all mels at once (n_patches, n_mels, parts and mean), then over each patch's own.
    by_time = np.ascontiguousarray(sliding_window_view(x, FRAMES, axis=0)[::FRAME_STEP]) @ over_time
    bands = sliding_window_view(by_time, BANDS, axis=1)[:, ::BAND_STEP]
    parts = np.ascontiguousarray(bands).reshape(-1, BANDS) @ over_mel
    parts = parts.reshape(*bands.shape[:3], -1)
    n = of_one.shape[1]
    mean = parts[:, :, -1:, -1:]
    cosine, sine = parts[:, :, :OVER_TIME], parts[:, :, OVER_TIME:-1]
    real = cosine[..., :n] - sine[..., n:-1] - mean * of_one.real
    imaginary = cosine[..., n:-1] + sine[..., :n] - mean * of_one.imag
    np.square(real, out=real)
    np.square(imaginary, out=imaginary)
    power = (real + imaginary).mean(axis=0)
    log_power: np.ndarray = np.log(power + np.float32(FLOOR)).ravel()
    return log_power


@lru_cache(maxsize=1)
def _waves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windowed waves over time (FRAMES, 2 OVER_TIME + 1) and over mel (BANDS, 4 OVER_MEL - 1),
    cosines before sines before a mean, and what waves make of ones: (OVER_TIME, 2 OVER_MEL - 1)."""
    over_time = _windowed(FRAMES, np.arange(OVER_TIME))
    over_mel = _windowed(BANDS, np.r_[0:OVER_MEL, 1 - OVER_MEL : 0])
    of_one = np.multiply.outer(over_time.sum(axis=0), over_mel.sum(axis=0))
    return _parts(over_time), _parts(over_mel), of_one.astype(np.complex64)


def _windowed(size: int, wave: np.ndarray) -> np.ndarray:
    """Hann's window times complex waves with so many periods in `size`: (size, n_waves)."""
    phase = np.outer(np.arange(size), wave) / size
    waves: np.ndarray = np.hanning(size + 2)[1:-1, None] * np.exp(-2j * np.pi * phase)
    return waves


def _parts(waves: np.ndarray) -> np.ndarray:
    mean = np.full((len(waves), 1), 1 / len(waves))
    return np.concatenate([waves.real, waves.imag, mean], axis=1).astype(np.float32)
