"""All sections together, read from params.yaml."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from ser.errors import ParamsError
from ser.params import sections
from ser.params.flow import DriftParams, GateParams, IntakeParams
from ser.params.models import ModelParams
from ser.params.protocols import FORMER_NAMES
from ser.params.section import Section
from ser.params.server import ServeParams
from ser.params.stress import StressParams
from ser.params.timeline import TimelineParams
from ser.strict_yaml import DuplicateKey, load_yaml

#: Pydantic's messages that a user of params.yaml would not understand, in other words.
EXPECTED = {
    "tuple_type": "expected a list, such as [{example}]",
    "model_type": "expected a section with a line for each parameter",
}
#: Former names of sections and parameters.
MOVED = {
    "alter": "augment",
    "train.threads": "machine.threads",
    "model.layers.threads": "machine.threads",
    "model.lora.threads": "machine.threads",
    "model.lora.head.threads": "machine.threads",
    "encoder.download": "machine.download",
}


#: Sections that no training reads: of what comes after it, and of how a machine works.
AFTER_TRAINING = {
    *("evaluate", "report", "stress", "gate", "intake", "drift", "machine", "serve", "timeline")
}


class Params(Section):
    seed: int = Field(7, ge=0, lt=2**32)
    data: sections.DataParams = sections.DataParams()
    synthetic: sections.SyntheticParams = sections.SyntheticParams()
    split: sections.SplitParams = sections.SplitParams()
    features: sections.FeatureParams = sections.FeatureParams()
    augment: sections.WaveformAugmentParams = sections.WaveformAugmentParams()
    encoder: sections.EncoderParams = sections.EncoderParams()
    model: ModelParams = ModelParams()
    train: sections.TrainParams = sections.TrainParams()
    calibrate: sections.CalibrateParams = sections.CalibrateParams()
    abstention: sections.AbstentionParams = sections.AbstentionParams()
    evaluate: sections.EvaluateParams = sections.EvaluateParams()
    report: sections.ReportParams = sections.ReportParams()
    stress: StressParams = StressParams()
    gate: GateParams = GateParams()
    intake: IntakeParams = IntakeParams()
    drift: DriftParams = DriftParams()
    machine: sections.MachineParams = sections.MachineParams()
    serve: ServeParams = ServeParams()
    timeline: TimelineParams = TimelineParams()

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        if "byol_s" in self.model.used and self.features.log_mel != "byol_s":
            raise ValueError(
                f"model.name {self.model.name} has BYOL-S, which takes features.log_mel byol_s, "
                f"not {self.features.log_mel}"
            )
        if "byol_s" in self.model.used and self.model.section("byol_s").weights is None:
            raise ValueError(
                f"model.name {self.model.name} has BYOL-S, whose weights you bring "
                "(docs/models.md): name their file in model.byol_s.weights"
            )
        if self.model.takes_encoder and self.encoder.name is None:
            raise ValueError(
                f"model.name {self.model.name} takes an encoder of the Hugging Face hub: name "
                "one, or its folder, in encoder.name"
            )
        if both := set(self.gate.corpora) & set(self.data.corpora):
            raise ValueError(
                f"gate.corpora holds {min(both)} back for the verdict, but data.corpora trains on "
                "it: name it in one of both"
            )
        return self


def load_params(path: Path) -> Params:
    """Read params.yaml; raises ParamsError naming the key, what stands there and the remedy."""
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(
            f"{path.name} is not in {path.parent}; run from the project's root."
        ) from error
    except DuplicateKey as error:
        raise ParamsError(f"{path.name}: {error.problem}. Remove one of them.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ParamsError(f"{path.name}{line} is not YAML; correct the syntax there.") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path.name} holds no sections; expected seed, data, split, ….")
    return parse_params(values, source=path.name)


def parse_params(values: dict[str, Any], source: str = "params.yaml") -> Params:
    """Parameters from nested values; raises ParamsError."""
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(f"{source}: {_explain(error.errors()[0])}") from error
    written = values.get("split", {}).get("protocol")
    if written in FORMER_NAMES:
        print(
            f"hint: {source}: split.protocol {written} is now called {params.split.protocol}.",
            file=sys.stderr,
        )
    return params


def _explain(problem: Any) -> str:
    # In a union of types, pydantic adds the type that it tried, in brackets.
    location = [str(part) for part in problem["loc"] if "[" not in str(part)]
    key = ".".join(location)
    kind, message, found = problem["type"], problem["msg"], problem["input"]
    if kind == "value_error":
        reason = message.removeprefix("Value error, ")
        return f"{key or 'sections'} do not fit: {reason}. Correct them."
    if kind == "extra_forbidden":
        if key in MOVED:
            return f"{key} is now called {MOVED[key]}. Rename it."
        section: Any = Params
        for part in location[:-1]:
            section = section.model_fields[part].annotation
        known = list(section.model_fields)
        remedy = _remedy(location[-1], known, otherwise="Remove it.")
        return f"{key} is not a parameter; known here are {', '.join(known)}. {remedy}"
    example = found if isinstance(found, str | int | float) else "a, b"
    expected = EXPECTED.get(kind, message[:1].lower() + message[1:])
    expected = expected.replace("{example}", str(example))
    shown = "empty" if found is None else repr(found)
    known = problem.get("ctx", {}).get("known", "").split(", ")
    return f"{key} is {shown}; {expected}. {_remedy(str(found), known, otherwise='Correct it.')}"


def _remedy(written: str, known: list[str], *, otherwise: str) -> str:
    close = difflib.get_close_matches(written, known, n=1)
    return f"Did you mean {close[0]}?" if close else otherwise
