"""Derivatives of descriptors over time, as librosa fits them."""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np

#: Frames over which a derivative is fitted, librosa's default.
WIDTH = 9


def delta(values: np.ndarray, *, order: int) -> np.ndarray:
    """Δ (order 1) or ΔΔ (order 2) over time of values (n_frames, n), like librosa.feature.delta.

    Fewer frames than the fit is wide: the edges are repeated instead of extrapolated from.
    """
    if len(values) < WIDTH:
        return librosa.feature.delta(values, width=WIDTH, order=order, axis=0, mode="nearest")
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
    fit = librosa.feature.delta(np.eye(WIDTH), width=WIDTH, order=order, axis=0)
    return fit.astype(np.float32)
