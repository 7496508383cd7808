"""The timeline as OpenAPI states it: schema ser.timeline/1."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from ser.serve.interfaces.schemas import AbstentionAnswer, Answer, ModelIdentity

Seconds = float
Shares = dict[str, float]


class WindowsAnswer(Answer):
    """A row for each window; posteriors in the order of the classes, smoothed."""

    seconds: float = Field(description="Of a window in speech that is longer than one.")
    hop_seconds: float
    start: list[Seconds]
    end: list[Seconds]
    posteriors: list[list[float]]


class TurnAnswer(Answer):
    """Speech of one emotion, or of none for one reason."""

    start: Seconds
    end: Seconds
    emotion: str | None = Field(description="Null where the model abstains.")
    confidence: float | None
    posteriors: Shares
    abstention: AbstentionAnswer | None


class TransitionAnswer(Answer):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    before: str = Field(alias="from")
    after: str = Field(alias="to")
    count: int


class LongestAnswer(Answer):
    emotion: str
    start: Seconds
    end: Seconds


class ChangeAnswer(Answer):
    """How emotions change; shares are of the answered speech, {} without any."""

    speech_seconds: float
    answered_seconds: float
    seconds_by_emotion: dict[str, float]
    share_by_emotion: Shares
    transitions: list[TransitionAnswer]
    changes_per_minute: float | None = Field(description="Of answered speech.")
    volatility: float | None = Field(description="Mean distance of neighbouring windows, 0 to 1.")
    start: Shares = Field(description="In the first fifth of the answered speech.")
    end: Shares = Field(description="In the last fifth.")
    trend_per_hour: dict[str, float] = Field(description="Slope of each posterior.")
    longest: LongestAnswer | None


class ChannelAnswer(Answer):
    channel: int
    name: str
    envelope: list[tuple[float, float]] = Field(description="Smallest and largest sample of parts.")
    speech: list[tuple[Seconds, Seconds]]
    windows: WindowsAnswer
    turns: list[TurnAnswer]
    summary: ChangeAnswer


class TimelineAnswer(Answer):
    """Perceived emotions over a recording; times are seconds from its start."""

    schema_: Literal["ser.timeline/1"] = Field(alias="schema")
    file: str = Field(description="Always `recording`: the name of an upload is not kept.")
    seconds: float
    sr: int = Field(description="Samples a second, as decoded.")
    model: ModelIdentity
    classes: list[str]
    channels: list[ChannelAnswer]
