"""Posteriors of windows, each by itself, become posteriors in the light of all windows. Pure.

A whole recording is there, so smoothing looks both ways: the forward–backward algorithm (Rabiner
1989, "A tutorial on hidden Markov models") on a chain that from one window to the next keeps its
emotion, or takes any one alike. Smoothing of a stream, which knows the past alone, is in
`smoothing.py`.
"""

from __future__ import annotations

import numpy as np

#: Below it a posterior counts as this: one sure window must not outvote all others.
LEAST = 1e-3


def smoothed(posteriors: np.ndarray, *, stays: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Posteriors (n, n_classes) of each window given all windows; rows sum to 1.

    posteriors : (n, n_classes) of each window by itself; a row of NaN has no say. stays : (n - 1,)
    probability that the chain keeps its emotion from a window to the next. weight : (n,) exponents
    of the windows' own posteriors: windows that overlap repeat each other, and weigh less.

    >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]])
    >>> smoothed(p, stays=np.full(2, 0.9), weight=np.ones(3)).round(2)
    array([[0.97, 0.03],
           [0.96, 0.04],
           [0.97, 0.03]])
    """
    n, k = posteriors.shape
    if n == 0:
        return posteriors.copy()
    own = np.maximum(posteriors, LEAST) ** weight[:, None]
    own = np.where(np.isnan(posteriors), 1.0, own)
    forward, backward = np.empty((2, n, k))
    forward[0] = own[0] / own[0].sum()
    for i in range(1, n):
        passed = (stays[i - 1] * forward[i - 1] + (1 - stays[i - 1]) / k) * own[i]
        forward[i] = passed / passed.sum()
    backward[-1] = 1 / k
    for i in range(n - 2, -1, -1):
        seen = backward[i + 1] * own[i + 1]
        seen /= seen.sum()
        backward[i] = stays[i] * seen + (1 - stays[i]) / k
    together = forward * backward
    return np.asarray(together / together.sum(axis=1, keepdims=True))
