"""From samples to an emotion: the one road that evaluation, command line and servers take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.features import extract
from ser.core.waveform import resample


@dataclass(frozen=True)
class Prediction:
    """Perceived emotion, its posterior, and the posteriors of all classes."""

    emotion: str
    confidence: float
    posteriors: dict[str, float]


class Predictor:
    """Scores waveforms with a bundle's model and the bundle's own feature parameters."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, y: np.ndarray, *, sr: int) -> Prediction:
        """Score mono samples `y`, (n_samples,), at `sr` Hz; raises AudioError on unfit input."""
        return self._prediction(self.posteriors(y, sr=sr))

    def posteriors(self, y: np.ndarray, *, sr: int) -> np.ndarray:
        """Posteriors over the bundle's classes: (n_classes,)."""
        params = self.bundle.features
        features = extract(resample(y, sr_in=sr, sr_out=params.sr), params=params)
        if self.bundle.model.input_kind == "functionals":
            return self.bundle.model.predict_proba(pd.DataFrame([features.functionals]))[0]
        return self.bundle.model.predict_proba([features.log_mel])[0]

    def _prediction(self, posteriors: np.ndarray) -> Prediction:
        by_class = dict(zip(self.bundle.classes, map(float, posteriors), strict=True))
        emotion = max(by_class, key=by_class.__getitem__)
        return Prediction(emotion, by_class[emotion], by_class)
