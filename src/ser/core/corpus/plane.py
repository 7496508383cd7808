"""Functionals of a corpus on few axes: standardised, and their principal components. Pure."""

from __future__ import annotations

import numpy as np

from ser.core.speakers.enrolment import Enrolment

#: Principal components of what neighbours and maps are sought in.
COMPONENTS = 50
#: Deviations beyond which a value is as good as infinite: one broken clip draws no map.
MOST_DEVIATIONS = 10.0


def by_speaker(functionals: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Functionals (n, d) standardised by the voice of their speaker (n,): float64 (n, d).

    A corpus's speakers are known, so what differs between voices need hide no emotion.
    """
    values = np.asarray(functionals, dtype=np.float64)
    return Enrolment.of(values, speaker=speaker).by_speaker(values, speaker=speaker)


#: Names of the first two of `components`.
PCA_AXES = ("first principal component", "second principal component")


def components(functionals: np.ndarray, *, most: int = COMPONENTS) -> np.ndarray:
    """Principal components of the standardised functionals (n, d): float64 (n, k), k ≤ `most`.

    The sign of each is fixed: its largest loading is positive.
    """
    from sklearn.utils.extmath import randomized_svd

    values = np.asarray(functionals, dtype=np.float64)
    scale = values.std(axis=0)
    standard = (values - values.mean(axis=0)) / np.where(scale > 1e-9, scale, np.inf)
    standard = np.clip(standard, -MOST_DEVIATIONS, MOST_DEVIATIONS)
    k = min(most, *standard.shape)
    left, singular, rows = randomized_svd(standard, k, random_state=0)
    signs = np.sign(rows[np.arange(k), np.abs(rows).argmax(axis=1)])
    found: np.ndarray = left * singular * np.where(signs == 0, 1.0, signs)
    return found
