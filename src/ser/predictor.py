"""From samples to an emotion: the one road that evaluation, command line and servers take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.enrolment import Voice
from ser.core.features import Features, extract
from ser.core.waveform import resample
from ser.models.base import Inputs
from ser.models.voices import voice_of


@dataclass(frozen=True)
class Prediction:
    """Perceived emotion and its posterior.

    posteriors : of all classes. candidates : the emotions that hold the true one as often as the
    bundle's `calibration.coverage` says, the likeliest first. enrolled_clips : by how many clips
    the speaker was known; None where the model knows no voices.
    """

    emotion: str
    confidence: float
    posteriors: dict[str, float]
    candidates: tuple[str, ...]
    enrolled_clips: int | None


class Predictor:
    """Scores waveforms with a bundle's model and the bundle's own feature parameters."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def enrol(self, clips: Iterable[tuple[np.ndarray, int]]) -> Voice | None:
        """The voice of a speaker from unlabelled clips, each (samples, Hz).

        None where the model knows no voices; raises AudioError on an unfit clip.
        """
        return voice_of(self.bundle.model, self._inputs([self._features(y, sr) for y, sr in clips]))

    def predict(self, y: np.ndarray, *, sr: int, voice: Voice | None = None) -> Prediction:
        """Score mono samples `y`, (n_samples,), at `sr` Hz; raises AudioError on unfit input.

        voice : the speaker's, from `enrol`; without it, he or she is taken for an average one.
        """
        return self._prediction(self.posteriors(y, sr=sr, voice=voice), voice)

    def posteriors(self, y: np.ndarray, *, sr: int, voice: Voice | None = None) -> np.ndarray:
        """Calibrated posteriors over the bundle's classes: (n_classes,)."""
        inputs = self._inputs([self._features(y, sr)])
        posteriors: np.ndarray = self.bundle.posteriors(inputs, voice=voice)[0]
        return posteriors

    def _features(self, y: np.ndarray, sr: int) -> Features:
        params = self.bundle.features
        return extract(resample(y, sr_in=sr, sr_out=params.sr), params=params)

    def _inputs(self, features: list[Features]) -> Inputs:
        return Inputs(
            pd.DataFrame([f.functionals for f in features]), [f.log_mel for f in features]
        )

    def _prediction(self, posteriors: np.ndarray, voice: Voice | None) -> Prediction:
        classes = self.bundle.classes
        by_class = dict(zip(classes, map(float, posteriors), strict=True))
        inside = self.bundle.calibration.sets(posteriors[None])[0]
        candidates = [classes[i] for i in np.argsort(-posteriors, kind="stable") if inside[i]]
        clips = None
        if self.bundle.knows_voices:
            clips = voice.clips if voice else 0
        emotion = candidates[0]
        return Prediction(emotion, by_class[emotion], by_class, tuple(candidates), clips)
