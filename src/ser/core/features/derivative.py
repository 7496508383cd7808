"""Derivatives of descriptors over time, as librosa fits them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy

#: Frames over which a derivative is fitted, librosa's default.
WIDTH = 9


def delta(values: np.ndarray, *, order: int) -> np.ndarray:
    """Δ (order 1) or ΔΔ (order 2) over time of values (n_frames, n), like librosa.feature.delta.

    Fewer frames than the fit is wide: the edges are repeated instead of extrapolated from.
    """
    if len(values) < WIDTH:
        return _savgol(values, order=order, mode="nearest")
    fit, half, n = _fit(order), WIDTH // 2, len(values)
    result = np.empty_like(values)
    result[:half] = fit[:half] @ values[:WIDTH]
    result[-half:] = fit[-half:] @ values[-WIDTH:]
    inner = result[half:-half]
    inner[:] = 0.0
    for offset, weight in enumerate(fit[half]):
        inner += weight * values[offset : n - 2 * half + offset]
    return result


@lru_cache(maxsize=2)
def _fit(order: int) -> np.ndarray:
    """(width, width): row i gives the derivative at frame i of `width` frames.

    The fit is linear, so its weights are what it makes of the unit vectors; its middle row
    is the filter of all frames that have neighbours enough.
    """
    return _savgol(np.eye(WIDTH), order=order, mode="interp").astype(np.float32)


def _savgol(values: np.ndarray, *, order: int, mode: str) -> np.ndarray:
    """What librosa.feature.delta calls; librosa itself takes 0.2 s and 60 MB to load, for numba."""
    fit: np.ndarray = scipy.signal.savgol_filter(
        values, WIDTH, deriv=order, polyorder=order, axis=0, mode=mode
    )
    return fit
