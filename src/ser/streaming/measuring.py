"""An utterance that grows, its intervals and its whole measured by a predictor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ser.core.speakers.enrolment import Voice
from ser.core.streaming.utterances import Due, Ended
from ser.core.timeline.smoothing import Smoothing, SteadyLabel
from ser.core.uncertainty.abstention import Abstention, Reason, clipped_share, decide
from ser.errors import AudioError, EmptyAudio
from ser.front_end import Extracted
from ser.monitoring.traffic import summarise
from ser.params.serving import StreamParams
from ser.predictor import Prediction, Predictor
from ser.streaming.events import Measurement, Trigger
from ser.streaming.extraction import extraction_for


class Measured:
    """Samples of one utterance from position `start` on; see `Stream`."""

    def __init__(
        self, predictor: Predictor, options: StreamParams, *, voice: Voice | None, start: int
    ) -> None:
        self._predictor, self._options, self._voice = predictor, options, voice
        self._extraction = extraction_for(predictor.front_end, sr=options.sr)
        self._smoothing = Smoothing(tau_seconds=options.tau_seconds)
        self._label = SteadyLabel(margin=options.label_margin)
        self._start, self._smoothed_at, self._dropped = start, start, 0

    @property
    def stop(self) -> int:
        """The position behind the last sample."""
        return self._start + self._extraction.raw.size

    def extend(self, y: np.ndarray) -> None:
        """Take the next samples y (n_samples,)."""
        self._extraction.extend(y)

    def drop(self) -> None:
        """Leave out an interval."""
        self._dropped += 1

    def interval(self, due: Due) -> Measurement:
        """The measurement of a window of it."""
        prediction = self._predicted(due)
        smoothed, label = self._smoothing.value, None
        classes = self._predictor.bundle.classes
        if prediction.abstention is None:
            posteriors = np.array(list(prediction.posteriors.values()))
            seconds = (due.stop - self._smoothed_at) / self._options.sr
            smoothed = self._smoothing(posteriors, seconds=seconds)
            label = classes[self._label(smoothed)]
            self._smoothed_at = due.stop
        named = {} if smoothed is None else dict(zip(classes, map(float, smoothed), strict=True))
        return self._measurement("interval", due, prediction, named, label)

    def whole(self, ended: Ended) -> Measurement:
        """The measurement of all of it."""
        features = None
        try:
            taken = self._extraction.take()
            features = taken.features if isinstance(taken, Extracted) else None
            prediction = self._answer(taken)
        except AudioError as error:
            prediction = unfit(error)
        measurement = self._measurement(
            "speech_ended", ended, prediction, prediction.posteriors, prediction.emotion
        )
        params = self._predictor.front_end.features
        y, sr = self._extraction.raw, self._options.sr
        return replace(measurement, summary=summarise(y, sr=sr, features=features, params=params))

    def _predicted(self, due: Due) -> Prediction:
        sr, start, stop = self._options.sr, due.start - self._start, due.stop - self._start
        refused = decide(
            self._predictor.bundle.abstention,
            seconds=(stop - start) / sr,
            speech_seconds=due.voiced / sr,
            clipped=clipped_share(self._extraction.raw[start:stop]),
        )
        try:
            return self._answer(refused or self._extraction.extract(start, stop))
        except AudioError as error:
            return unfit(error)

    def _answer(self, taken: Abstention | Extracted) -> Prediction:
        return self._predictor.answer([taken], voice=self._voice)[0]

    def _measurement(
        self,
        trigger: Trigger,
        step: Due | Ended,
        prediction: Prediction,
        smoothed: dict[str, float],
        label: str | None,
    ) -> Measurement:
        sr = self._options.sr
        dropped, self._dropped = self._dropped, 0
        return Measurement(
            trigger,
            round(1000 * step.start / sr),
            round(1000 * step.stop / sr),
            step.start,
            step.stop,
            prediction,
            smoothed,
            label,
            voiced_ms=round(1000 * step.voiced / sr),
            dropped_ms=round(1000 * dropped * self._options.hop_seconds),
        )


def unfit(error: AudioError) -> Prediction:
    """A stream goes on where a single recording would be refused."""
    reason: Reason = "no_speech" if isinstance(error, EmptyAudio) else "too_short"
    return Prediction(None, None, abstention=Abstention(reason, str(error)))
