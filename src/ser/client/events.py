"""What comes back while audio is sent. Positions: samples at 16 kHz since the session's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from ser.client.values import Abstention


@dataclass(frozen=True)
class Event:
    """type : of the message that it comes in."""

    type: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """Its type and fields, for JSON."""
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True)
class UtteranceStarted(Event):
    """Somebody speaks on a channel (0 or 1)."""

    type: ClassVar[str] = "utterance.start"
    channel: int
    at_ms: int
    start_sample: int


@dataclass(frozen=True)
class Measurement(Event):
    """The emotion of a stretch of the utterance that is open.

    trigger : `interval` for its last seconds, while it is spoken; `speech_ended` for all of it.
    label : of the smoothed posteriors, or of the whole utterance; None where the model abstains.
    posteriors : of this stretch alone. smoothed : over the utterance's intervals. voiced_ms :
    speech in the stretch. dropped_ms : intervals before this one that were left out because the
    server lagged. server_ms : from the last sample's arrival to this result. utterance_id : what
    `Client.correct` takes as request_id. The other fields are those of `Answer`.
    """

    type: ClassVar[str] = "measurement.result"
    channel: int
    trigger: Literal["interval", "speech_ended"]
    audio_start_ms: int
    audio_end_ms: int
    start_sample: int
    stop_sample: int
    label: str | None
    confidence: float | None
    posteriors: Mapping[str, float]
    smoothed: Mapping[str, float]
    candidates: tuple[str, ...]
    abstention: Abstention | None
    novelty: float | None = None
    enrolled_clips: int | None = None
    voiced_ms: int = 0
    dropped_ms: int = 0
    model_version: int | None = None
    server_ms: float | None = None
    utterance_id: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is of the whole utterance."""
        return self.trigger == "speech_ended"


@dataclass(frozen=True)
class UtteranceEnded(Event):
    """The utterance is over, after its final measurement. reason : silence, longest or closed."""

    type: ClassVar[str] = "utterance.end"
    channel: int
    at_ms: int
    start_sample: int
    stop_sample: int
    reason: str


@dataclass(frozen=True)
class Problem(Event):
    """What the server could not do or take; the session goes on unless `Closed` follows."""

    type: ClassVar[str] = "error"
    code: str
    message: str


@dataclass(frozen=True)
class Closed(Event):
    """The last event. reason : "closed" where all audio was sent; else why the server ended it.

    totals : counts of the session: finals, partials, audio_ms, dropped_ms.
    """

    type: ClassVar[str] = "session.closed"
    reason: str
    totals: Mapping[str, int]


def event_of(message: Mapping[str, Any]) -> Event | None:
    """The event in a message of /v1/stream; None for one that a later server may add.

    >>> event_of({"type": "error", "seq": 3, "code": "too_late", "message": "It is."})
    Problem(code='too_late', message='It is.')
    """
    match message.get("type"):
        case UtteranceStarted.type:
            return UtteranceStarted(message["channel"], message["at_ms"], message["start_sample"])
        case Measurement.type:
            return _measurement(message)
        case UtteranceEnded.type:
            return UtteranceEnded(
                message["channel"],
                message["at_ms"],
                message["start_sample"],
                message["stop_sample"],
                message["reason"],
            )
        case Problem.type:
            return Problem(message["code"], message["message"])
        case Closed.type:
            return Closed(message["reason"], dict(message["totals"]))
    return None


def _measurement(message: Mapping[str, Any]) -> Measurement:
    return Measurement(
        channel=message["channel"],
        trigger=message["trigger"],
        audio_start_ms=message["audio_start_ms"],
        audio_end_ms=message["audio_end_ms"],
        start_sample=message["start_sample"],
        stop_sample=message["stop_sample"],
        label=message["label"],
        confidence=message["confidence"],
        posteriors=dict(message["posteriors"]["raw"]),
        smoothed=dict(message["posteriors"]["smoothed"]),
        candidates=tuple(message["candidates"]),
        abstention=Abstention.of(message["abstention"]),
        novelty=message.get("novelty"),
        enrolled_clips=message.get("enrolled_clips"),
        voiced_ms=message["voiced_ms"],
        dropped_ms=message["dropped_ms"],
        model_version=message["model_version"],
        server_ms=message["server_ms"],
        utterance_id=message.get("utterance_id"),
    )
