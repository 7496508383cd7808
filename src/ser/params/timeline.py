"""How a recording of any length becomes a timeline. No stage depends on it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ser.params.section import Section

Channels = Literal["auto", "each", "mix"]


class TimelineParams(Section):
    """Windows, smoothing and pauses; all in seconds. Chosen on dev speakers, see
    docs/howto/timeline.md."""

    #: Of a window, and from one window to the next within speech.
    window_seconds: float = Field(3.0, ge=0.5, le=30)
    hop_seconds: float = Field(1.0, ge=0.1, le=30)
    #: Speech between two pauses up to this long is one window.
    whole_seconds: float = Field(4.0, ge=0.5, le=40)
    #: A shorter silence does not part speech.
    pause_seconds: float = Field(0.4, ge=0.1, le=10)
    #: On both sides of voiced frames, of what belongs to the speech.
    padding_seconds: float = Field(0.05, ge=0, le=1)
    #: How long an emotion stays, on average, while it is spoken, and in silence: the prior of the
    #: smoothing.
    stay_seconds: float = Field(40.0, gt=0, le=3600)
    stay_silence_seconds: float = Field(2.0, gt=0, le=3600)
    #: Weight of a window's log-posteriors in the smoothing, where windows do not overlap.
    evidence: float = Field(1.3, gt=0, le=10)
    #: A timeline for each channel, or one for their mean; auto: each, unless they are alike.
    channels: Channels = "auto"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.hop_seconds > self.window_seconds:
            raise ValueError("hop_seconds must not exceed window_seconds")
        if self.whole_seconds < self.window_seconds:
            raise ValueError("whole_seconds must not lie below window_seconds")
        if 2 * self.padding_seconds > self.pause_seconds:
            raise ValueError("padding_seconds must not exceed half of pause_seconds")
        return self
