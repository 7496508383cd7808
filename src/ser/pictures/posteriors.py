"""Posteriors of each clip by models that were not trained on it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from ser.models.classical.discriminants import fit_discriminants

#: Folds, and the shrinkage of `model.lda`.
FOLDS, SHRINKAGE = 5, 0.7
#: Clips that one model is trained on: more gain little and take minutes.
MOST_TRAINED = 5_000
#: Bounds of the natural logarithm of the temperature.
TEMPERATURES = (-2.0, 4.0)


@dataclass(frozen=True)
class OutOfSample:
    """posteriors : (n, n_classes), rows sum to 1, of `classes`.

    by_unknown : of models that have no clip of the speaker (NaN where there are none);
    by_known : of models that have the speaker's other clips. `posteriors` is their mean.
    """

    classes: tuple[str, ...]
    by_unknown: np.ndarray
    by_known: np.ndarray

    @property
    def posteriors(self) -> np.ndarray:
        lacks = np.isnan(self.by_unknown)
        known, unknown = self.by_known, np.where(lacks, self.by_known, self.by_unknown)
        return np.where(np.isnan(known), unknown, (known + unknown) / 2)


def out_of_sample(
    functionals: np.ndarray,
    emotion: np.ndarray,
    speaker: np.ndarray,
    recording: np.ndarray,
    *,
    seed: int,
) -> OutOfSample:
    """Calibrated posteriors of linear discriminants by two cross-validations.

    functionals : (n, d), best standardised by speaker; emotion : (n,), two or more. In the first,
    speakers (n,) stay whole: it finds a label that is wrong in all of a speaker's clips. In the
    second, clips of one `recording` (n,) alone stay together: it knows the voice, and finds single
    slips.
    """
    classes, label = np.unique(emotion, return_inverse=True)
    known = _cross_validated(functionals, label, recording, seed=seed)
    unknown = np.full_like(known, np.nan)
    if len(np.unique(speaker)) > 1:
        unknown = _cross_validated(functionals, label, speaker, seed=seed)
    found = OutOfSample(
        tuple(map(str, classes)), _calibrated(unknown, label), _calibrated(known, label)
    )
    # One without the clip's own label among its classes says nothing of that label.
    found.by_unknown[~np.isfinite(unknown[np.arange(len(label)), label])] = np.nan
    return found


def _cross_validated(
    x: np.ndarray, label: np.ndarray, group: np.ndarray, *, seed: int
) -> np.ndarray:
    """Decisions (n, n_classes); -inf for a class that a fold's training lacks, NaN without any."""
    decisions = np.full((len(x), label.max() + 1), np.nan)
    for train, test in _splits(x, label, group, seed=seed):
        if len(train) > MOST_TRAINED:
            rng = np.random.default_rng(seed)
            train = np.sort(rng.choice(train, MOST_TRAINED, replace=False))
        classes = np.unique(label[train])
        if len(classes) < 2:
            continue
        scaler = StandardScaler().fit(x[train])
        model = fit_discriminants(scaler.transform(x[train]), label[train], shrinkage=SHRINKAGE)
        found = model.decision_function(scaler.transform(x[test]))
        found = np.stack([-found, found], axis=1) / 2 if found.ndim == 1 else found
        decisions[test] = -np.inf
        decisions[np.ix_(test, classes)] = found
    return decisions


def _splits(
    x: np.ndarray, label: np.ndarray, group: np.ndarray, *, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    folds = min(FOLDS, len(np.unique(group)), int(np.bincount(label).max()))
    if folds < 2:
        return
    with warnings.catch_warnings():
        # An emotion may have fewer clips than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        yield from ((a, b) for a, b in splitter.split(x, label, group) if len(a) and len(b))


def _calibrated(decisions: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Posteriors of decisions at the temperature that fits the labels best (Guo et al. 2017)."""
    rows = np.arange(len(label))
    usable = np.isfinite(decisions[rows, label])
    if not usable.any():
        return np.full_like(decisions, np.nan)

    def log_loss(log_temperature: float) -> float:
        found = softmax(decisions[usable] / np.exp(log_temperature), axis=1)
        return -float(np.log(found[np.arange(usable.sum()), label[usable]] + 1e-12).mean())

    best = minimize_scalar(log_loss, bounds=TEMPERATURES, method="bounded").x
    result = np.full_like(decisions, np.nan)
    any_class = np.isfinite(decisions).any(axis=1)
    result[any_class] = softmax(decisions[any_class] / np.exp(best), axis=1)
    return result
