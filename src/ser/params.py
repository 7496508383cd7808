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
    test_fraction: float = Field(0.3, gt=0, lt=1)
    dev_fraction: float = Field(0.2, gt=0, lt=1)


class FeatureParams(Section):
    """How a waveform becomes features; travels inside every bundle."""

    sr: int = Field(16_000, ge=4_000, le=192_000)
    n_fft: int = Field(1024, ge=64)
    hop_length: int = Field(160, ge=1)
    n_mels: int = Field(64, ge=8)
    n_mfcc: int = Field(20, ge=2)
    n_chroma: int = Field(12, ge=2)
    n_contrast: int = Field(6, ge=1)
    f0_min: float = Field(65.0, gt=0)
    f0_max: float = Field(500.0, gt=0)
    #: Log-mel is floored this far below the utterance's loudest bin; None: at -100 dB.
    top_db: float | None = Field(80.0, gt=0)
    #: Edges this far below the loudest 10 ms are silence and trimmed; None: kept.
    trim_db: float | None = Field(40.0, gt=0)
    trim_margin_seconds: float = Field(0.05, ge=0)


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


def load_params(path: Path) -> Params:
    """Read params.yaml; raises ParamsError naming the key, what stands there and the remedy."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ParamsError(
            f"{path.name} is not in {path.parent}; run from the project's root."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ParamsError(f"{path.name}{line} is not YAML; mend the syntax there.") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path.name} holds no sections; expected seed, data, split, ….")
    return parse_params(values, source=path.name)


def parse_params(values: dict[str, Any], source: str = "params.yaml") -> Params:
    """Parameters from nested values; raises ParamsError."""
    try:
        return Params(**values)
    except ValidationError as error:
        raise ParamsError(f"{source}: {_explain(error.errors()[0])}") from error


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] != "extra_forbidden":
        return f"{key} is {problem['input']!r}; {_lower(problem['msg'])}. Correct it."
    section: Any = Params
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1)
    remedy = f"Did you mean {close[0]}?" if close else "Remove it."
    return f"{key} is not a parameter; known here are {', '.join(known)}. {remedy}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
