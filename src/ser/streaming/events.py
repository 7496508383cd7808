"""What a stream answers. Positions are samples, and milliseconds, since the session's start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ser.core.streaming.utterances import Ending
from ser.monitoring.traffic import InputSummary
from ser.predictor import Prediction

Trigger = Literal["interval", "speech_ended"]


@dataclass(frozen=True)
class UtteranceStart:
    """Somebody speaks. `start_sample` lies before the first voiced frame."""

    at_ms: int
    start_sample: int


@dataclass(frozen=True)
class Measurement:
    """The emotion of a stretch of the utterance that is open.

    trigger : `interval` for its last seconds, while it is spoken; `speech_ended` for all of it.
    start_sample, stop_sample : the stretch; `Predictor.predict` on these samples gives the same
        posteriors.
    prediction : of this stretch. An interval's speech is counted by the stream's own detector, as
        it came in; of a whole utterance everything equals `Predictor.predict`.
    smoothed : posteriors over the utterance's intervals, those left out that abstain ({} if all
        did); of `speech_ended` its own, which need no smoothing. label : the emotion that they
        show, with hysteresis; None where the prediction abstains.
    voiced_ms : of the stretch. dropped_ms : hops since the last measurement that were not computed.
    summary : of the input of `speech_ended`, for the traffic log.
    """

    trigger: Trigger
    audio_start_ms: int
    audio_end_ms: int
    start_sample: int
    stop_sample: int
    prediction: Prediction
    smoothed: dict[str, float] = field(default_factory=dict)
    label: str | None = None
    voiced_ms: int = 0
    dropped_ms: int = 0
    summary: InputSummary | None = None


@dataclass(frozen=True)
class UtteranceEnd:
    """The utterance is over; its `speech_ended` stands before this."""

    at_ms: int
    start_sample: int
    stop_sample: int
    reason: Ending


Event = UtteranceStart | Measurement | UtteranceEnd
