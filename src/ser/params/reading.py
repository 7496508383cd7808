"""params.yaml, read and checked."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ser.errors import ParamsError
from ser.params.params import Params
from ser.params.protocols import FORMER_NAMES
from ser.strict_yaml import DuplicateKey, load_yaml

#: What sections were called before.
RENAMED = {"alter": "augment"}
#: What stands for pydantic's words, which speak of Python.
EXPECTED = {
    "tuple_type": "expected a list, such as [{example}]",
    "model_type": "expected a section with a line for each parameter",
}
#: Where a parameter stands that stood elsewhere before.
MOVED = {
    "train.threads": "machine.threads",
    "model.layers.threads": "machine.threads",
    "model.lora.threads": "machine.threads",
    "model.lora.head.threads": "machine.threads",
    "encoder.download": "machine.download",
}


def load_params(path: Path) -> Params:
    """Read params.yaml; raises ParamsError naming the key, what stands there and the remedy."""
    try:
        values = load_yaml(path.read_text())
    except FileNotFoundError as error:
        raise ParamsError(
            f"{path.name} is not in {path.parent}; run from the project's root."
        ) from error
    except DuplicateKey as error:
        raise ParamsError(f"{path.name}: {error.problem}. Remove one of them.") from error
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
    # Of a union of types, pydantic names the one that it tried.
    location = [str(part) for part in problem["loc"] if "[" not in str(part)]
    key = ".".join(location)
    if problem["type"] == "value_error":
        reason = problem["msg"].removeprefix("Value error, ")
        return f"{key or 'sections'} do not fit: {reason}. Correct them."
    if problem["type"] != "extra_forbidden":
        found, expected = problem["input"], EXPECTED.get(problem["type"], _lower(problem["msg"]))
        example = found if isinstance(found, str | int | float) else "a, b"
        shown = "empty" if found is None else repr(found)
        known = problem.get("ctx", {}).get("known", "").split(", ")
        return f"{key} is {shown}; {expected.replace('{example}', str(example))}. " + _remedy(
            str(found), known, otherwise="Correct it."
        )
    if key in RENAMED:
        return f"{key} is now called {RENAMED[key]}. Rename it."
    if key in MOVED:
        return f"{key} is no parameter of the model; it stands in {MOVED[key]} now. Move it there."
    section: Any = Params
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    remedy = _remedy(location[-1], known, otherwise="Remove it.")
    return f"{key} is not a parameter; known here are {', '.join(known)}. {remedy}"


def _remedy(written: str, known: list[str], *, otherwise: str) -> str:
    close = difflib.get_close_matches(written, known, n=1)
    return f"Did you mean {close[0]}?" if close else otherwise


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
