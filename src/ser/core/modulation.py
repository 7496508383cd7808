"""How fast and how finely an utterance's spectrum is modulated. Pure.

Small patches of log-mel, a third of a second by a quarter of the bands, are taken apart into
waves over time and mel; a wave's power tells of glides, formants and trembling, and its phase,
which depends on when and how high, is left out (modulation spectra after Singh and Theunissen
2003, on patches as in Welch's method).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
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
    """Log-powers of the waves in log_mel (n_frames, n_mels), dB: float64, finite.

    Shorter or narrower log-mels than a patch repeat their edges.
    """
    lacking = [
        max(0, size - have) for size, have in zip((FRAMES, BANDS), log_mel.shape, strict=True)
    ]
    x = np.pad(log_mel / UNIT_DB, [(0, n) for n in lacking], mode="edge")
    patches = sliding_window_view(x, (FRAMES, BANDS))[::FRAME_STEP, ::BAND_STEP]
    patches = (patches - patches.mean(axis=(2, 3), keepdims=True)) * _window()
    # Real over time, complex over mel: waves that rise and waves that fall are told apart.
    waves = scipy.fft.rfft(patches, axis=2)[:, :, :OVER_TIME]
    waves = scipy.fft.fft(waves, axis=3)
    kept = np.concatenate([waves[..., :OVER_MEL], waves[..., 1 - OVER_MEL :]], axis=3)
    power = (kept.real**2 + kept.imag**2).mean(axis=0)
    log_power: np.ndarray = np.log(power + FLOOR).ravel()
    return log_power


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    """Hann's over both axes, (FRAMES, BANDS)."""
    return np.outer(np.hanning(FRAMES + 2)[1:-1], np.hanning(BANDS + 2)[1:-1]).astype(np.float32)
