"""From samples to what a model takes: the part of inference that needs no weights.

It is small and picklable: other processes do it beside the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ser.core.features.extract import Features, audible, extract, prepared
from ser.core.uncertainty.abstention import Abstention, clipped_share, decide
from ser.params import AbstentionParams, FeatureParams
from ser.vad.detect import check_samples, speech_seconds


@dataclass(frozen=True)
class Extracted:
    """waveform : as an encoder of the hub takes it; None where the model takes none."""

    features: Features
    waveform: np.ndarray | None = None


@dataclass(frozen=True)
class FrontEnd:
    """Judges and extracts recordings as a bundle's parameters say.

    encoder_sr : Hz at which an encoder takes waveforms; None: the model takes none.
    """

    features: FeatureParams
    abstention: AbstentionParams
    encoder_sr: int | None = None

    def take(self, y: np.ndarray, *, sr: int) -> Abstention | Extracted:
        """Features of mono samples `y`, (n_samples,), at `sr` Hz, or why they are no speech.

        Raises AudioError on unfit input. Give the samples as they were recorded: resampled, they
        no longer show that they were clipped.
        """
        refused = self._refused_by_length(y, sr)
        if refused:
            return refused
        speech = audible(y, sr=sr, params=self.features)
        return self._refused_by_sound(y, speech) or self._extracted(y, sr, speech)

    def refuse(self, y: np.ndarray, *, sr: int) -> Abstention | None:
        """Why the samples are not judged: too short, too long, no speech, or clipped."""
        refused = self._refused_by_length(y, sr)
        return refused or self._refused_by_sound(y, audible(y, sr=sr, params=self.features))

    def refuse_audible(self, y: np.ndarray, speech: np.ndarray, *, sr: int) -> Abstention | None:
        """As `refuse`, where the caller has `speech`, y made `audible`."""
        return self._refused_by_length(y, sr) or self._refused_by_sound(y, speech)

    def extract(self, y: np.ndarray, *, sr: int) -> Extracted:
        """Features of the samples, whatever they hold."""
        return self._extracted(y, sr, audible(y, sr=sr, params=self.features))

    def _refused_by_length(self, y: np.ndarray, sr: int) -> Abstention | None:
        check_samples(y)
        # Other rates are refused by `audible`.
        return decide(self.abstention, seconds=y.size / sr) if sr > 0 else None

    def _refused_by_sound(self, y: np.ndarray, speech: np.ndarray) -> Abstention | None:
        seconds = speech_seconds(
            speech,
            sr=self.features.sr,
            detector=self.abstention.detector,
            enough=self.abstention.min_speech_seconds,
        )
        return decide(self.abstention, speech_seconds=seconds, clipped=clipped_share(y))

    def _extracted(self, y: np.ndarray, sr: int, speech: np.ndarray) -> Extracted:
        features = extract(speech, params=self.features)
        if self.encoder_sr is None:
            return Extracted(features)
        at_rate = self.features.at(self.encoder_sr)
        return Extracted(features, prepared(audible(y, sr=sr, params=at_rate), params=at_rate))
