"""From samples to an emotion, or to the reason why there is none: the one road that evaluation,
command line and servers take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.features.extract import Features, audible, extract, prepared
from ser.core.speakers.enrolment import Voice
from ser.core.uncertainty.abstention import Abstention, clipped_share, decide
from ser.errors import EncoderError
from ser.models.base import Inputs
from ser.models.voices import voice_of
from ser.vad.detect import speech_seconds

if TYPE_CHECKING:
    from ser.models.encoders.encoder import SpeechEncoder


@dataclass(frozen=True)
class Prediction:
    """Perceived emotion and its posterior, or why none is named.

    emotion : None where the predictor abstains. confidence : of the most probable emotion; None
    where the signal alone was reason to abstain: then `posteriors` and `candidates` are empty.
    posteriors : of all classes. candidates : the emotions that hold the true one as often as the
    bundle's `calibrations.coverage` says, the likeliest first. enrolled_clips : by how many clips
    the speaker was known; None where the model knows no voices.
    """

    emotion: str | None
    confidence: float | None
    posteriors: dict[str, float] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    enrolled_clips: int | None = None
    abstention: Abstention | None = None


@dataclass(frozen=True)
class Heard:
    """waveform : as an encoder of the hub takes it; None where the model has none."""

    features: Features
    waveform: np.ndarray | None = None


class Predictor:
    """Scores waveforms with a bundle's model and the bundle's own feature parameters.

    encoder : what `load_encoder_of` gives for the bundle. Raises EncoderError where the model takes
    an encoder and None is given.
    """

    def __init__(self, bundle: Bundle, encoder: SpeechEncoder | None = None) -> None:
        if encoder is None and bundle.takes_layers:
            raise EncoderError(
                f"The model {bundle.model_name} takes an encoder and none was given: give what "
                "load_encoder_of(bundle) returns."
            )
        self.bundle = bundle
        self._encoder = encoder
        self._limit: float | None = None
        percentile = bundle.abstention.max_novelty_percentile
        if bundle.novelty is not None and percentile is not None:
            self._limit = bundle.novelty.limit(percentile)

    def enrol(self, clips: Iterable[tuple[np.ndarray, int]]) -> Voice | None:
        """The voice of a speaker from unlabelled clips, each (samples, Hz).

        None where the model knows no voices; raises AudioError on an unfit clip. What `refuse`
        refuses tells nothing of a voice: leave it out.
        """
        heard = [self._hear(y, sr) for y, sr in clips]
        return voice_of(self.bundle.model, self._inputs(heard))

    def refuse(self, y: np.ndarray, *, sr: int) -> Abstention | None:
        """Why mono samples `y`, (n_samples,), at `sr` Hz, are no speech to go by; None: they are.

        Told by the signal alone: too short, too long, no speech, or clipped.
        """
        params = self.bundle.abstention
        if y.ndim != 1 or not np.isfinite(y).all():
            # No recording: `extract` says what is wrong.
            return None
        return decide(params, seconds=y.size / sr) or decide(
            params,
            speech_seconds=self._speech_seconds(y, sr),
            clipped=clipped_share(y),
        )

    def predict(self, y: np.ndarray, *, sr: int, voice: Voice | None = None) -> Prediction:
        """Answer mono samples `y`, (n_samples,), at `sr` Hz; raises AudioError on unfit input.

        Give the samples as they were recorded: resampled, they no longer show that they were
        clipped. voice : the speaker's, from `enrol`; without it, he or she is taken for an
        average one.
        """
        refused = self.refuse(y, sr=sr)
        if refused:
            return Prediction(None, None, abstention=refused)
        heard = self._hear(y, sr)
        posteriors = self._posteriors(heard, voice)
        refused = decide(
            self.bundle.abstention,
            novelty=self._novelty(heard.features),
            confidence=float(posteriors.max()),
        )
        return self._prediction(posteriors, voice, refused)

    def posteriors(self, y: np.ndarray, *, sr: int, voice: Voice | None = None) -> np.ndarray:
        """Calibrated posteriors over the bundle's classes, (n_classes,), whatever was heard."""
        return self._posteriors(self._hear(y, sr), voice)

    def _speech_seconds(self, y: np.ndarray, sr: int) -> float:
        features = self.bundle.features
        speech = audible(y, sr=sr, params=features)
        return speech_seconds(speech, sr=features.sr, detector=self.bundle.abstention.detector)

    def _novelty(self, features: Features) -> float | None:
        if self.bundle.novelty is None or self._limit is None:
            return None
        functionals = features.functionals.to_numpy()[None]
        return float(self.bundle.novelty.distance(functionals)[0] / self._limit)

    def _hear(self, y: np.ndarray, sr: int) -> Heard:
        params = self.bundle.features
        features = extract(audible(y, sr=sr, params=params), params=params)
        if self.bundle.encoder is None:
            return Heard(features)
        at_rate = params.at(self.bundle.encoder.sr)
        return Heard(features, prepared(audible(y, sr=sr, params=at_rate), params=at_rate))

    def _posteriors(self, heard: Heard, voice: Voice | None) -> np.ndarray:
        posteriors: np.ndarray = self.bundle.posteriors(self._inputs([heard]), voice=voice)[0]
        return posteriors

    def _inputs(self, heard: Sequence[Heard]) -> Inputs:
        waveforms = [h.waveform for h in heard if h.waveform is not None]
        return Inputs(
            pd.DataFrame([h.features.functionals for h in heard]),
            [h.features.log_mel for h in heard],
            list(self._encoder.encode(waveforms)) if self._encoder else None,
            waveforms,
        )

    def _prediction(
        self, posteriors: np.ndarray, voice: Voice | None, refused: Abstention | None
    ) -> Prediction:
        classes = self.bundle.classes
        by_class = dict(zip(classes, map(float, posteriors), strict=True))
        inside = self.bundle.calibration_of(voice).sets(posteriors[None])[0]
        candidates = [classes[i] for i in np.argsort(-posteriors, kind="stable") if inside[i]]
        clips = None
        if self.bundle.knows_voices:
            clips = voice.clips if voice else 0
        best = candidates[0]
        return Prediction(
            emotion=None if refused else best,
            confidence=by_class[best],
            posteriors=by_class,
            candidates=tuple(candidates),
            enrolled_clips=clips,
            abstention=refused,
        )
