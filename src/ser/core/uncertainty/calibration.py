"""Calibrated posteriors, and sets of candidates that hold the true emotion. Pure.

Both are fitted on speakers that the model was not trained on: a temperature (Guo et al. 2017)
and the threshold of split-conformal sets (Sadinle, Lei and Wasserman 2019), chosen for the next
speaker rather than for the next utterance of these speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from ser.errors import TableError

#: Bounds of the fitted temperature; beyond them posteriors are flat or one-hot.
COLDEST, HOTTEST = 0.05, 20.0
#: Floor of posteriors: low enough for discriminants, whose posteriors differ below 1e-12 too, and
#: high enough that no member of an ensemble can exclude an emotion alone.
LEAST = 1e-30
#: Number of levels that are tried between the coverage that was asked for and 1.
LEVELS = 101
#: Posteriors that differ by this share are one, whatever their last bits: rounding differs with
#: the order of the emotions and from machine to machine.
TIE = 1e-6


@dataclass(frozen=True)
class Calibration:
    """How raw posteriors become calibrated ones.

    temperature : raw log-posteriors are divided by it; above 1 the model was too confident.
    coverage : share of utterances whose set should hold the true emotion; None: no sets.
    threshold : an emotion is in the set if its calibrated posterior is at least this.
    """

    temperature: float = 1.0
    coverage: float | None = None
    threshold: float = 1.0

    def posteriors(self, raw: np.ndarray) -> np.ndarray:
        """Calibrated posteriors, float64 (n, n_classes), of raw ones; the best stays the best."""
        return tempered(raw, self.temperature)

    def sets(self, posteriors: np.ndarray) -> np.ndarray:
        """Which emotions each set holds, bool (n, n_classes), of calibrated posteriors.

        The most probable emotion is always in it: no set is empty.
        """
        inside = posteriors >= self.threshold * (1 - TIE)
        inside[np.arange(len(posteriors)), posteriors.argmax(axis=1)] = True
        return inside


@dataclass(frozen=True)
class Calibrations:
    """A calibration for each number of enrolment clips.

    A model with enrolment is less confident for speakers with fewer clips; a model without has one
    calibration. clips : ascending.
    """

    clips: tuple[int, ...] = (0,)
    each: tuple[Calibration, ...] = (Calibration(),)

    @property
    def coverage(self) -> float | None:
        return self.each[0].coverage

    def at(self, clips: int) -> Calibration:
        """The calibration for a speaker with `clips` clips, interpolated between two of them."""

        def interpolated(values: list[float]) -> float:
            return float(np.interp(np.log1p(clips), np.log1p(self.clips), values))

        temperature = interpolated([calibration.temperature for calibration in self.each])
        threshold = interpolated([calibration.threshold for calibration in self.each])
        return Calibration(temperature, self.coverage, threshold)


def calibrate(
    raw: np.ndarray, target: np.ndarray, *, speaker: np.ndarray, coverage: float
) -> Calibration:
    """Temperature and threshold from utterances of speakers the model was not trained on.

    raw : (n, n_classes) posteriors; target : (n,) indices of the true classes, -1 for an emotion
        that is not among them, which does not count for the temperature; speaker : (n,).
    """
    if len(raw) == 0:
        raise TableError("No utterance is left to calibrate on; give dev at least one speaker.")
    known = target >= 0
    temperature = fit_temperature(raw[known], target[known]) if known.any() else 1.0
    posteriors = tempered(raw, temperature)
    true = np.where(known, posteriors[np.arange(len(raw)), target], 0.0)
    # The most probable emotion is in every set.
    true[posteriors.argmax(axis=1) == target] = 1.0
    level = level_for_strangers(true, speaker, coverage)
    return Calibration(temperature, coverage, conformal_threshold(true, speaker, level))


def fit_temperature(raw: np.ndarray, target: np.ndarray) -> float:
    """The temperature with the least cross-entropy of `target` (n,) under `raw` (n, n_classes)."""
    logs = np.log(np.maximum(raw, LEAST))
    rows = np.arange(len(raw))

    def cross_entropy(log_temperature: float) -> float:
        logits = logs / np.exp(log_temperature)
        top = logits.max(axis=1)
        partition = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        return float((partition - logits[rows, target]).mean())

    # Imported here: serving, which does not need it, starts sooner.
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        cross_entropy, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded"
    )
    return float(np.exp(found.x))


def tempered(raw: np.ndarray, temperature: float) -> np.ndarray:
    """Posteriors proportional to `raw` (n, n_classes) to the power of 1 / temperature.

    >>> tempered(np.array([[0.8, 0.2]]), temperature=2.0).round(3)
    array([[0.667, 0.333]])
    """
    posteriors: np.ndarray = softmax(np.log(np.maximum(raw, LEAST)) / temperature, axis=1)
    return posteriors


def conformal_threshold(true: np.ndarray, speaker: np.ndarray, coverage: float) -> float:
    """The posterior that the true emotion reaches in a share `coverage` of utterances.

    true : (n,) posterior of each utterance's true emotion. Speakers weigh alike, whatever their
    number of utterances (Dunn, Wasserman and Ramdas 2022); one more utterance, with the worst
    score, stands for the next one.
    """
    _, index, counts = np.unique(speaker, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[index]
    order = np.argsort(-true)
    reached = np.cumsum(weight[order]) / weight.sum() * len(true) / (len(true) + 1)
    enough = np.flatnonzero(reached >= coverage - 1e-12)
    return float(true[order][enough[0]]) if enough.size else 0.0


def level_for_strangers(true: np.ndarray, speaker: np.ndarray, coverage: float) -> float:
    """The level on these speakers that gives `coverage` on an unknown one.

    The threshold of a few speakers covers fewer utterances of the next speaker. So each speaker in
    turn is left out: the level is the least at which those left out are covered as asked, on
    average.
    """
    names = np.unique(speaker)
    if len(names) < 2:
        return coverage

    def covered(level: float) -> float:
        shares = []
        for name in names:
            own = speaker == name
            threshold = conformal_threshold(true[~own], speaker[~own], level)
            shares.append((true[own] >= threshold).mean())
        return float(np.mean(shares))

    levels = np.linspace(coverage, 1.0, LEVELS)
    return float(next((level for level in levels if covered(level) >= coverage - 1e-12), 1.0))


def held(sets: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Whether sets (n, n_classes) hold their `target` (n,): bool (n,); -1 is never held."""
    return np.where(target >= 0, sets[np.arange(len(sets)), target], False)
