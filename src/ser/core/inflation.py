"""How much a random split flatters: the same model, scored on known and on unknown speakers."""

from __future__ import annotations

from collections.abc import Iterable
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
    """UAR of one model over all utterances, each predicted by a model that did not see it.

    apart : its speaker was not heard in training either; random : speakers were not looked at.
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
    Raises ParamsError for fewer than two speakers or emotions.
    """
    speakers, classes = np.unique(speaker), np.unique(emotion)
    if len(speakers) < 2 or len(classes) < 2:
        raise ParamsError(
            f"Found {len(speakers)} speaker(s) and {len(classes)} emotion(s); a score on unknown "
            "speakers needs two of each. Add recordings."
        )
    folds = min(5, len(speakers))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))

    def uar(splits: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
        predicted = cross_val_predict(model, functionals, emotion, cv=list(splits))
        return float(recall_score(emotion, predicted, average="macro"))

    apart = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    random = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return Inflation(
        apart=uar(apart.split(functionals, emotion, speaker)),
        random=uar(random.split(functionals, emotion)),
        chance=1 / len(classes),
        folds=folds,
    )
