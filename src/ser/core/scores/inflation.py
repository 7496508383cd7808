"""How much a random split inflates a score: one model on known and on unknown speakers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ser.errors import ParamsError


@dataclass(frozen=True)
class Inflation:
    """UAR over all utterances, each predicted by a model that was not trained on it.

    apart : folds by speakers; random : folds whatever the speakers.
    """

    apart: float
    random: float
    chance: float
    folds: int

    @property
    def gap(self) -> float:
        return self.random - self.apart


def inflation(
    functionals: np.ndarray, emotion: np.ndarray, speaker: np.ndarray, *, seed: int
) -> Inflation:
    """Cross-validate logistic regression on functionals (n, n_functionals) both ways.

    emotion, speaker : (n,). As many folds as there are speakers, at most 5.
    Raises ParamsError for fewer than two speakers or emotions, and where a training fold would
    hold one emotion alone: each speaker has one, or there are too few utterances.
    """
    speakers, classes = np.unique(speaker), np.unique(emotion)
    if len(speakers) < 2 or len(classes) < 2:
        raise ParamsError(
            f"Found {len(speakers)} speaker(s) and {len(classes)} emotion(s); a score on unknown "
            "speakers needs two of each. Add recordings."
        )
    if len(emotion) < 2 * len(classes):
        raise ParamsError(
            f"Found {len(emotion)} utterances of {len(classes)} emotions; a score needs two of "
            "each. Add recordings."
        )
    if all(len(np.unique(speaker[emotion == one])) < 2 for one in classes):
        raise ParamsError(
            "Each emotion is of one speaker alone: emotion and voice cannot be separated. Add "
            "recordings of other speakers."
        )
    folds = min(5, len(speakers))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))

    def uar(splitter: StratifiedGroupKFold | StratifiedKFold) -> float:
        splits = _splits(splitter, functionals, emotion, speaker)
        predicted = cross_val_predict(model, functionals, emotion, cv=splits)
        return float(recall_score(emotion, predicted, average="macro"))

    apart = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    random = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return Inflation(uar(apart), uar(random), chance=1 / len(classes), folds=folds)


def _splits(
    splitter: StratifiedGroupKFold | StratifiedKFold,
    functionals: np.ndarray,
    emotion: np.ndarray,
    speaker: np.ndarray,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and to test on; empty folds are left out."""
    with warnings.catch_warnings():
        # An emotion may have fewer utterances than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = list(splitter.split(functionals, emotion, speaker))
        except ValueError as error:
            raise ParamsError(
                f"No emotion has as many utterances as there are folds ({splitter.n_splits}). Add "
                "recordings."
            ) from error
    splits = [(train, test) for train, test in found if len(test)]
    if any(len(np.unique(emotion[train])) < 2 for train, _ in splits):
        raise ParamsError(
            "Without one fold's speakers a single emotion is left to train on: speaker and emotion "
            "go together. Add recordings of each speaker in several emotions."
        )
    return splits
