"""From samples to an emotion, or the reason for none: for evaluation, command line and servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.features.extract import Features
from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention, decide
from ser.errors import EncoderError
from ser.front_end import Extracted, FrontEnd
from ser.models.base import Inputs
from ser.models.voices import voice_of

if TYPE_CHECKING:
    from ser.models.encoders.encoder import SpeechEncoder


@dataclass(frozen=True)
class Prediction:
    """Perceived emotion and its posterior, or why there is none.

    emotion : None where the predictor abstains. confidence : of the most probable emotion; None
    where the signal alone was reason to abstain: then `posteriors` and `candidates` are empty.
    posteriors : of all classes. candidates : the prediction set, likeliest first; it holds the true
    emotion as often as the bundle's `calibrations.coverage`. enrolled_clips : the speaker's
    enrolment clips; None where the model has no enrolment. novelty : the distance to the training
    speech over the limit, so above 1 it is too different; None where it is not measured.
    """

    emotion: str | None
    confidence: float | None
    posteriors: dict[str, float] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    enrolled_clips: int | None = None
    abstention: Abstention | None = None
    novelty: float | None = None


class Predictor:
    """Predicts waveforms with a bundle's model and the bundle's own feature parameters.

    encoder : of `load_encoder_of(bundle)`. Raises EncoderError where the model needs it and it is
    None.
    """

    def __init__(self, bundle: Bundle, encoder: SpeechEncoder | None = None) -> None:
        if encoder is None and bundle.takes_layers:
            raise EncoderError(
                f"The model {bundle.model_name} takes an encoder and none was given; give "
                "load_encoder_of(bundle)."
            )
        self.bundle = bundle
        encoder_sr = bundle.encoder.sr if bundle.encoder else None
        self.front_end = FrontEnd(bundle.features, bundle.abstention, encoder_sr)
        self._encoder = encoder
        percentile, novelty = bundle.abstention.max_novelty_percentile, bundle.novelty
        self._limit = None if novelty is None or percentile is None else novelty.limit(percentile)

    def enrol(self, clips: Iterable[tuple[np.ndarray, int]]) -> Voice | None:
        """The voice of a speaker from unlabelled clips, each (samples, Hz).

        None where the model has no enrolment; raises AudioError on an unfit clip. Leave out what
        `refuse` refuses: it holds no voice.
        """
        return self.voice_of([self.front_end.extract(y, sr=sr) for y, sr in clips])

    def voice_of(self, extracted: Sequence[Extracted]) -> Voice | None:
        """As `enrol`, of clips that the front end has extracted."""
        return voice_of(self.bundle.model, self._inputs(extracted))

    def refuse(self, y: np.ndarray, *, sr: int) -> Abstention | None:
        """Why mono samples `y`, (n_samples,), at `sr` Hz, cannot be predicted; None if they can.

        By the signal alone: too short, too long, no speech, or clipped.
        """
        return self.front_end.refuse(y, sr=sr)

    def predict(self, y: np.ndarray, *, sr: int, voice: Voice | None = None) -> Prediction:
        """The prediction for mono samples `y`, (n_samples,), at `sr` Hz.

        Give the samples as they were recorded: resampling hides clipping. voice : the speaker's,
        from `enrol`; None: an average speaker's. Raises AudioError on unfit input.
        """
        return self.answer([self.front_end.take(y, sr=sr)], voice=voice)[0]

    def answer(
        self, taken: Sequence[Abstention | Extracted], *, voice: Voice | None = None
    ) -> list[Prediction]:
        """Predictions for results of `front_end.take`, of recordings of one speaker.

        Networks take less time for them together than one by one; the predictions are the same.
        """
        extracted = [one for one in taken if isinstance(one, Extracted)]
        posteriors = iter(self._posteriors(extracted, voice) if extracted else ())
        return [
            self._prediction(next(posteriors), one.features, voice)
            if isinstance(one, Extracted)
            else Prediction(None, None, abstention=one)
            for one in taken
        ]

    def posteriors(self, y: np.ndarray, *, sr: int, voice: Voice | None = None) -> np.ndarray:
        """Calibrated posteriors, (n_classes,), without abstention."""
        found: np.ndarray = self._posteriors([self.front_end.extract(y, sr=sr)], voice)[0]
        return found

    def _novelty(self, features: Features) -> float | None:
        if self.bundle.novelty is None or self._limit is None:
            return None
        functionals = features.functionals.to_numpy()[None]
        return float(self.bundle.novelty.distance(functionals)[0] / self._limit)

    def _posteriors(self, extracted: Sequence[Extracted], voice: Voice | None) -> np.ndarray:
        return self.bundle.posteriors(self._inputs(extracted), voice=voice)

    def _inputs(self, extracted: Sequence[Extracted]) -> Inputs:
        waveforms = [one.waveform for one in extracted if one.waveform is not None]
        functionals = [one.features.functionals for one in extracted]
        return Inputs(
            # Faster than from a list of Series.
            pd.DataFrame(np.stack(functionals), columns=functionals[0].index),
            [one.features.log_mel for one in extracted],
            list(self._encoder.encode(waveforms)) if self._encoder else None,
            waveforms,
        )

    def _prediction(
        self, posteriors: np.ndarray, features: Features, voice: Voice | None
    ) -> Prediction:
        novelty, confidence = self._novelty(features), float(posteriors.max())
        refused = decide(self.bundle.abstention, novelty=novelty, confidence=confidence)
        classes = self.bundle.classes
        inside = self.bundle.calibration_of(voice).sets(posteriors[None])[0]
        candidates = [classes[i] for i in np.argsort(-posteriors, kind="stable") if inside[i]]
        clips = voice.clips if voice else 0
        return Prediction(
            emotion=None if refused else candidates[0],
            confidence=confidence,
            posteriors=dict(zip(classes, map(float, posteriors), strict=True)),
            candidates=tuple(candidates),
            enrolled_clips=clips if self.bundle.takes_enrolment else None,
            abstention=refused,
            novelty=novelty,
        )
