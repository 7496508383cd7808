"""Frozen, typed parameters. No other module opens params.yaml."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ser.errors import ParamsError

Protocol = Literal["holdout", "ravdess-luna5", "ravdess-emobox6", "leave-one-speaker-out"]


class Section(BaseModel):
    """A section of params.yaml: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataParams(Section):
    corpora: tuple[str, ...] = Field(("synthetic",), min_length=1)


class SyntheticParams(Section):
    """The embedded corpus. `speakers` × `sentences` × 6 emotions × `takes` utterances."""

    speakers: int = Field(16, ge=2)
    sentences: int = Field(8, ge=1, le=8)
    takes: int = Field(1, ge=1)


class SplitParams(Section):
    protocol: Protocol = "holdout"
    fold: int = Field(1, ge=1)


class FeatureParams(Section):
    """How a waveform becomes features; travels inside every bundle."""

    sr: int = 16_000
    n_fft: int = 1024
    hop_length: int = 160
    n_mels: int = 64
    n_mfcc: int = 20
    f0_min: float = 65.0
    f0_max: float = 500.0


class ModelParams(Section):
    """`name` chooses the model; the section of that name configures it."""

    name: str = "cnn"


class TrainParams(Section):
    batch_size: int = Field(32, ge=1)


class EvaluateParams(Section):
    bootstrap: int = Field(2000, ge=100)


class GateParams(Section):
    """The challenger is promoted when P(challenger >= champion) over speaker resamples
    reaches `min_probability`."""

    min_probability: float = Field(0.5, ge=0, le=1)


class Params(Section):
    seed: int = 7
    data: DataParams = DataParams()
    synthetic: SyntheticParams = SyntheticParams()
    split: SplitParams = SplitParams()
    features: FeatureParams = FeatureParams()
    model: ModelParams = ModelParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    gate: GateParams = GateParams()
