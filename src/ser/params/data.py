"""Sections on corpora and on who is tested."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from ser.params.protocols import known_protocol
from ser.params.section import Section


class LabelParams(Section):
    """Which emotions are classes: some are merged, then all but those to keep are dropped."""

    #: all, 4-class, 6-class, or a list of emotions.
    keep: str | tuple[str, ...] = "all"
    merge: dict[str, str] = Field({})


class DataParams(Section):
    corpora: tuple[str, ...] = Field(("synthetic",), min_length=1)
    #: Recordings to leave out: paths in data/raw, `*` for any letters; or a file of such lines.
    exclude: tuple[str, ...] | str = ()
    #: What recordings that are unfit for training do: stop the pipeline, or drop out of it.
    on_bad: Literal["stop", "drop"] = "stop"
    #: With drop: a larger share of a corpus's recordings stops it all the same.
    max_bad_share: float = Field(0.05, ge=0, le=1)
    labels: LabelParams = LabelParams()

    @field_validator("corpora")
    @classmethod
    def _each_once(cls, corpora: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(corpora)) < len(corpora):
            raise ValueError("each corpus may be named once")
        return corpora


class SyntheticParams(Section):
    """The embedded corpus. `speakers` × `sentences` × 6 emotions × `takes` utterances."""

    speakers: int = Field(16, ge=2)
    sentences: int = Field(8, ge=1, le=8)
    takes: int = Field(1, ge=1)


class SplitParams(Section):
    protocol: Annotated[str, AfterValidator(known_protocol)] = "holdout"
    fold: int = Field(1, ge=1)
    #: Of grouped-kfold; published protocols have their own number.
    folds: int = Field(5, ge=2)
    test_fraction: float = Field(0.3, gt=0, lt=1)
    dev_fraction: float = Field(0.2, gt=0, lt=1)
