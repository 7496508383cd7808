"""Statistics over frames: an utterance of any length becomes one named vector. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

#: Of every descriptor but F0, over all frames.
STATISTICS = ("mean", "std", "p05", "p50", "p95")
PERCENTILES = (5, 50, 95)
#: Of F0, over voiced frames; slope in Hz per frame.
F0_STATISTICS = (*STATISTICS, "slope")
#: Of the utterance: the share of voiced frames.
VOICED_FRACTION = "voiced_fraction"


@lru_cache(maxsize=8)
def functional_names(lld_names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of what `functionals` returns: `mfcc_03_mean`, …, `f0_p95`, `voiced_fraction`."""
    others = [name for name in lld_names if name != "f0"]
    return (
        *(f"{name}_{statistic}" for statistic in STATISTICS for name in others),
        *(f"f0_{statistic}" for statistic in F0_STATISTICS),
        VOICED_FRACTION,
    )


def functionals(values: np.ndarray, *, names: Sequence[str]) -> np.ndarray:
    """Functionals of the descriptors `values` (n_frames, n_lld): float32, always finite.

    names : the n_lld columns; "f0" must be one of them. An utterance without a voiced frame has
    all F0 functionals 0.
    """
    column = list(names).index("f0")
    others = np.delete(values, column, axis=1)
    f0 = values[:, column]
    voiced = np.flatnonzero(f0 > 0)
    return np.concatenate(
        [
            _statistics(others).ravel(),
            _statistics(f0[voiced, None]).ravel() if voiced.size else np.zeros(len(STATISTICS)),
            [_slope(voiced, f0[voiced]), voiced.size / len(f0)],
        ]
    ).astype(np.float32)


def _statistics(values: np.ndarray) -> np.ndarray:
    """(n_statistics, n) of values (n_frames, n)."""
    # One sort gives all percentiles; along contiguous memory it is many times faster.
    ordered = np.ascontiguousarray(values.T)
    ordered.sort(axis=1)
    place = np.asarray(PERCENTILES) / 100 * (len(values) - 1)
    below = place.astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    low, high = ordered[:, below], ordered[:, above]
    precise = ordered.astype(np.float64)
    mean = precise.mean(axis=1)
    precise -= mean[:, None]
    return np.stack(
        [
            mean,
            np.sqrt(np.einsum("ij,ij->i", precise, precise) / len(values)),
            *(low + (high - low) * (place - below)).T,
        ]
    )


def _slope(frame: np.ndarray, value: np.ndarray) -> float:
    """Slope of the regression of `value` on `frame`; 0 for fewer than two points."""
    if frame.size < 2:
        return 0.0
    centred = frame - frame.mean()
    return float(centred @ value / (centred @ centred))
