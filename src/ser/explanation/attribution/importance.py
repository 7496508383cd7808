"""By how much a model's UAR falls where a group of its features is permuted over utterances.

Permutation importance (Breiman 2001) by groups: features of one group say nearly the same, so one
of them alone can be replaced by the others. What falls is what the model rests on, right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.scores.metrics import interval_of, resample_speakers, resampled_uar
from ser.core.speakers.enrolment import rows_of
from ser.core.uncertainty.calibration import LEAST
from ser.core.utterance.emotions import classes_of
from ser.explanation.attribution.groups import groups_of
from ser.explanation.attribution.parts import Part, parts_of
from ser.explanation.attribution.spectrogram import BANDS_HZ, centres_hz
from ser.models.base import Examples, Inputs, targets_of
from ser.models.voices import posteriors_by_speaker

#: Permutations of each group, and resamples of the speakers for the interval.
REPEATS, RESAMPLES = 5, 1000

#: The group that is all features of a kind.
ALL = "all"

Kind = Literal["functionals", "log_mel"]
#: Makes the inputs of a set with one group permuted.
Permute = Callable[[Inputs, np.ndarray], Inputs]


@dataclass(frozen=True)
class Importance:
    """kind : of features; group : "all" of that kind, or one. drop : of the UAR, the mean over
    permutations; interval : 95 % over speakers, None for a single one."""

    kind: Kind
    group: str
    drop: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Importances:
    """Of `utterances` of `speakers`: uar unpermuted, beside chance; rows : the largest drop first,
    those of all features of a kind before the groups."""

    uar: float
    chance: float
    utterances: int
    speakers: int
    rows: tuple[Importance, ...]


def importances(
    bundle: Bundle,
    examples: Examples,
    *,
    seed: int = 0,
    repeats: int = REPEATS,
    resamples: int = RESAMPLES,
    on_step: Callable[[], object] = lambda: None,
) -> Importances:
    """The importance of each group of features for the bundle's answers to examples.

    Each speaker is enrolled with all own examples where the model takes enrolment; the predictor's
    abstention does not count. on_step : is called `steps_of(bundle, examples.inputs)` times.
    Raises BundleError where a part of the model cannot be explained, TableError on an emotion that
    the model does not have.
    """
    parts = parts_of(bundle)
    target = targets_of(examples.emotion, bundle.classes)
    rng = np.random.default_rng(seed)
    asked = [_logs(part, examples) for part in parts]
    tally = _Tally(target, examples.speaker, len(bundle.classes), resamples, seed)
    before = tally.hits(np.sum(asked, axis=0).argmax(axis=1))
    rows = []
    for (kind, group), permute in _groups(bundle, examples.inputs).items():
        found = np.zeros_like(before)
        for _ in range(repeats):
            permuted = replace(
                examples, inputs=permute(examples.inputs, rng.permutation(len(target)))
            )
            logs = [
                _logs(part, permuted) if kind in part.model.kinds else own
                for part, own in zip(parts, asked, strict=True)
            ]
            found += tally.hits(np.sum(logs, axis=0).argmax(axis=1)) / repeats
        drop = before - found
        rows.append(Importance(kind, group, tally.uar(drop), tally.interval(drop)))
        on_step()
    uttered = len(classes_of(examples.emotion))
    return Importances(
        tally.uar(before),
        1 / uttered,
        len(target),
        tally.n_speakers,
        tuple(sorted(rows, key=lambda row: (row.group != ALL, -row.drop))),
    )


def steps_of(bundle: Bundle, inputs: Inputs) -> int:
    return len(_groups(bundle, inputs))


def band_name(low: float, high: float) -> str:
    """
    >>> band_name(0, 500), band_name(4000, np.inf)
    ('up to 500 Hz', 'above 4000 Hz')
    """
    if low == 0:
        return f"up to {high:g} Hz"
    return f"above {low:g} Hz" if np.isinf(high) else f"{low:g} to {high:g} Hz"


class _Tally:
    """Right answers by speaker and emotion, and the UAR of them."""

    def __init__(
        self, target: np.ndarray, speaker: np.ndarray, n_classes: int, resamples: int, seed: int
    ) -> None:
        self._rows = list(rows_of(speaker).values())
        self._target, self._n_classes = target, n_classes
        self._total = self._counts(np.ones(len(target)))
        weights = resample_speakers(len(self._rows), resamples=resamples, seed=seed)
        complete = (weights @ self._total > 0)[:, self._total.any(axis=0)].all(axis=1)
        self._weights = weights[complete] if complete.any() else weights

    @property
    def n_speakers(self) -> int:
        return len(self._rows)

    def hits(self, predicted: np.ndarray) -> np.ndarray:
        """(n_speakers, n_classes) right answers."""
        return self._counts(predicted == self._target)

    def uar(self, hits: np.ndarray) -> float:
        """UAR of right answers, or by how much it changes with them."""
        everybody = np.ones((1, self.n_speakers))
        return float(resampled_uar(hits, self._total, everybody)[0])

    def interval(self, hits: np.ndarray) -> tuple[float, float] | None:
        """95 % of `uar` over resampled speakers; None for a single speaker."""
        if self.n_speakers < 2:
            return None
        low, high = interval_of(resampled_uar(hits, self._total, self._weights))
        return low, high

    def _counts(self, counts: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                np.bincount(self._target[rows], counts[rows], minlength=self._n_classes)
                for rows in self._rows
            ]
        )


def _logs(part: Part, examples: Examples) -> np.ndarray:
    """The part's weighted log-posteriors (n, n_classes)."""
    found = posteriors_by_speaker(part.model, examples.only(part.model.kinds))
    logs: np.ndarray = part.weight * np.log(np.maximum(found, LEAST))
    return logs


def _groups(bundle: Bundle, inputs: Inputs) -> Mapping[tuple[Kind, str], Permute]:
    """How each group is permuted, for the kinds that the model takes."""
    found: dict[tuple[Kind, str], Permute] = {}
    if "functionals" in bundle.model.kinds and inputs.functionals is not None:
        names = tuple(map(str, inputs.functionals.columns))
        found["functionals", ALL] = _columns(np.arange(len(names)))
        for group, at in groups_of(names).items():
            found["functionals", group] = _columns(at)
    if "log_mel" in bundle.model.kinds and inputs.log_mel is not None:
        n_mels = inputs.log_mel[0].shape[1]
        hertz = centres_hz(bundle.features, n_mels)
        found["log_mel", ALL] = _bands(np.ones(n_mels, dtype=bool))
        for low, high in pairwise(BANDS_HZ):
            inside = (hertz >= low) & (hertz < high)
            if inside.any():
                found["log_mel", band_name(low, high)] = _bands(inside)
    return found


def _columns(at: np.ndarray) -> Permute:
    def permute(inputs: Inputs, order: np.ndarray) -> Inputs:
        assert inputs.functionals is not None
        values = inputs.functionals.to_numpy(copy=True)
        values[:, at] = values[np.ix_(order, at)]
        frame = pd.DataFrame(values, columns=inputs.functionals.columns)
        return replace(inputs, functionals=frame)

    return permute


def _bands(inside: np.ndarray) -> Permute:
    """Another utterance's bands, made as long as the utterance."""

    def permute(inputs: Inputs, order: np.ndarray) -> Inputs:
        log_mel: Sequence[np.ndarray] = inputs.log_mel or []
        permuted = []
        for x, other in zip(log_mel, (log_mel[i] for i in order), strict=True):
            frames = np.linspace(0, len(other) - 1, len(x)).round().astype(int)
            mixed = np.array(x)
            mixed[:, inside] = np.asarray(other)[frames][:, inside]
            permuted.append(mixed)
        return replace(inputs, log_mel=permuted)

    return permute
