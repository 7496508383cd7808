"""How live audio is cut into utterances and measured. No stage depends on it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ser.params.section import Section


class StreamParams(Section):
    """When a stream answers; all in seconds but `sr`."""

    #: Hz of what is fed: that of the wire and of the speech detector.
    sr: Literal[16_000] = 16_000
    #: An interval result is of the utterance's last so many seconds.
    window_seconds: float = Field(3.0, gt=0, le=30)
    #: From one interval result to the next.
    hop_seconds: float = Field(0.5, ge=0.1, le=30)
    #: Voiced audio in the utterance before its first interval result.
    first_voiced_seconds: float = Field(1.2, ge=0, le=30)
    #: Silence that ends an utterance, and belongs to it.
    end_silence_seconds: float = Field(0.5, ge=0.1, le=10)
    #: Longest utterance; another one begins where it ends.
    longest_seconds: float = Field(30.0, ge=1, le=300)
    #: Audio before the first voiced frame that belongs to the utterance.
    preroll_seconds: float = Field(0.3, ge=0, le=0.9)
    #: Time constant of the exponential smoothing of posteriors.
    tau_seconds: float = Field(1.0, gt=0, le=60)
    #: Lead that another emotion's smoothed posterior needs to become the label.
    label_margin: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.window_seconds > self.longest_seconds:
            raise ValueError("window_seconds must not exceed longest_seconds")
        return self

    def samples(self, seconds: float) -> int:
        """`seconds` in samples at `sr`."""
        return round(seconds * self.sr)
