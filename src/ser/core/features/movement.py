"""How an utterance's spectrum moves: the covariance of its cepstrum and the cepstrum's derivatives.

A covariance knows no mean, hence little of a voice's or a microphone's own colour. Covariances
lie on a curved space; the matrix logarithm lays it flat (log-Euclidean metric, Arsigny et al.
2006), so that linear models can work with its entries. Pure.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ser.core.features.derivative import WIDTH, delta

#: The first coefficients, level included; with their derivatives up to the third.
COEFFICIENTS, ORDERS = 10, 4
#: Coefficients are in dB; in 10 dB the floor below keeps the logarithm of still speech finite.
UNIT_DB, FLOOR = 10.0, 0.3


@lru_cache(maxsize=8)
def movement_names(n_mfcc: int) -> tuple[str, ...]:
    """Names of what `movement` returns: `movement_03_d1_05` is coefficient 3 with Δ of 5."""
    names = [
        f"{i:02d}" if order == 0 else f"d{order}_{i:02d}"
        for order in range(ORDERS)
        for i in range(min(COEFFICIENTS, n_mfcc))
    ]
    rows, columns = np.triu_indices(len(names))
    return tuple(f"movement_{names[i]}_{names[j]}" for i, j in zip(rows, columns, strict=True))


def movement(mfcc: np.ndarray) -> np.ndarray:
    """Upper triangle of the log-covariance of mfcc (n_frames, n_mfcc), dB: float64, finite.

    Entries off the diagonal count twice in the matrix's norm, hence are scaled by √2.
    """
    channels = [mfcc[:, :COEFFICIENTS] / np.float32(UNIT_DB)]
    for _ in range(ORDERS - 1):
        # Each derivative about as large as what it is derived from.
        channels.append(delta(channels[-1], order=1) * np.float32(WIDTH / 2))
    frames = np.concatenate(channels, axis=1, dtype=np.float64)
    frames -= frames.mean(axis=0)
    covariance = frames.T @ frames / len(frames) + FLOOR * np.eye(frames.shape[1])
    variances, axes = np.linalg.eigh(covariance)
    log_covariance = (axes * np.log(variances)) @ axes.T
    place, scale = _upper(len(log_covariance))
    entries: np.ndarray = log_covariance.ravel()[place] * scale
    return entries


@lru_cache(maxsize=8)
def _upper(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the upper triangle in a raveled (n, n), and their scales."""
    rows, columns = np.triu_indices(n)
    return rows * n + columns, np.where(rows == columns, 1.0, np.sqrt(2.0))
