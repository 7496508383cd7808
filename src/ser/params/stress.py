"""The stress suite: which rows, on how many utterances, and what each family must reach."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from ser.params.section import Section, one_of

#: Families of changes, in the order of the table.
FAMILIES = ("small", "noise", "room", "tilt", "phone", "codec", "time")
Family = Annotated[str, AfterValidator(lambda name: one_of(FAMILIES, name))]


class LimitParams(Section):
    """What each row of a family must reach; None: no limit."""

    #: Least change of UAR.
    delta: float | None = Field(None, ge=-1, le=0)
    #: Least share of answers that stay as they were.
    unchanged: float | None = Field(None, ge=0, le=1)


class LimitsParams(Section):
    """Those of audEERING's ser-tests for their families; for codecs and time as for rooms."""

    small: LimitParams = LimitParams(unchanged=0.95)
    noise: LimitParams = LimitParams(delta=-0.05, unchanged=0.90)
    room: LimitParams = LimitParams(unchanged=0.80)
    tilt: LimitParams = LimitParams(delta=-0.05, unchanged=0.80)
    phone: LimitParams = LimitParams(unchanged=0.50)
    codec: LimitParams = LimitParams(unchanged=0.80)
    time: LimitParams = LimitParams(unchanged=0.80)

    def of(self, family: str) -> LimitParams:
        """Those of one family."""
        found: LimitParams = getattr(self, family)
        return found


class StressParams(Section):
    #: Test utterances of the stage, even over speakers and emotions; `ser stress` takes all.
    utterances: int = Field(30, ge=1)
    families: tuple[Family, ...] = Field(FAMILIES, min_length=1)
    #: Of the bootstrap over speakers.
    resamples: int = Field(1000, ge=100)
    limits: LimitsParams = LimitsParams()
    #: Largest difference between the UAR of two groups, by sex or by pitch.
    max_gap: float = Field(0.075, ge=0, le=1)

    @field_validator("families")
    @classmethod
    def _each_once(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(families)) < len(families):
            raise ValueError("each family may be named once")
        return families
