"""Adaptation to how one speaker expresses each emotion, from unlabelled clips. Pure.

Training gives each emotion a mean over all speakers. The clips of one speaker, weighted by their
posteriors, move the means of their emotions (maximum a posteriori, as in Gauvain and Lee 1994,
with the relevance factor of Reynolds, Quatieri and Dunn 2000). The mean of an emotion without
clips stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ser.core.uncertainty.calibration import LEAST, fit_temperature, tempered

#: Number of a speaker's clips of an emotion that weigh as much as all other speakers together.
RELEVANCE = 10.0
#: Directions in which clips of one emotion vary less than this share of the largest variation of
#: all clips are dropped: a model without doubt leaves nothing to adapt.
LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Adaptation:
    """The emotions' means in a model's log-posteriors for speakers it was not trained on.

    temperature : of the posteriors; axes : float64 (n_classes, r), scaled so that clips of one
    emotion vary by 1 in every direction; means : float64 (n_classes, r), of each emotion.
    """

    temperature: float
    axes: np.ndarray
    means: np.ndarray

    @classmethod
    def of(cls, posteriors: np.ndarray, target: np.ndarray) -> Self | None:
        """Estimate it from raw posteriors (n, n_classes) of models not trained on the speakers.

        target : (n,) indices of the true classes. None where a class has fewer than two clips.
        """
        n, n_classes = posteriors.shape
        if (np.bincount(target, minlength=n_classes) < 2).any():
            return None
        logs = centred_logs(posteriors)
        means = np.stack([logs[target == k].mean(axis=0) for k in range(n_classes)])
        _, deviation, directions = np.linalg.svd(logs - means[target], full_matrices=False)
        kept = deviation > LEAST_SHARE * np.linalg.norm(logs, ord=2)
        axes = directions[kept].T / (deviation[kept] / np.sqrt(max(n - n_classes, 1)))
        return cls(fit_temperature(posteriors, target), axes, means @ axes)

    def own(self, posteriors: np.ndarray) -> np.ndarray:
        """One speaker's means (n_classes, r), from raw posteriors (n, n_classes) of clips."""
        share = tempered(posteriors, self.temperature)
        place = centred_logs(posteriors) @ self.axes
        clips = share.sum(axis=0)[:, None]
        result: np.ndarray = (RELEVANCE * self.means + share.T @ place) / (RELEVANCE + clips)
        return result

    def posteriors(self, raw: np.ndarray, own: np.ndarray | None) -> np.ndarray:
        """Posteriors (n, n_classes) of raw ones; own : the speaker's means, None if unknown."""
        usual = tempered(raw, self.temperature)
        if own is None:
            return usual
        place = centred_logs(raw) @ self.axes
        # Log-likelihood ratio of the speaker's mean to that of all speakers.
        gain = place @ (own - self.means).T - 0.5 * (own**2 - self.means**2).sum(axis=1)
        logs = np.log(np.maximum(usual, LEAST)) + gain
        return tempered(np.exp(logs - logs.max(axis=1, keepdims=True)), 1.0)


def centred_logs(posteriors: np.ndarray) -> np.ndarray:
    """Log-posteriors (n, n_classes) whose mean over the classes is 0."""
    logs = np.log(np.maximum(posteriors, LEAST))
    result: np.ndarray = logs - logs.mean(axis=1, keepdims=True)
    return result
