"""What a flow run is asked for beside params.yaml: by the form of Prefect's UI, or `ser run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dvc.utils.serialize import modify_yaml

from ser.errors import ParamsError
from ser.io.intake import dvc
from ser.params import MODELS, Params, parse_params
from ser.params.overrides import dotted, parse_override, set_value

AS_IN_PARAMS = "as in params.yaml"
NO_OVERRIDES: dict[str, Any] = {}
#: Prefect's form shows the names of a Literal as a list to choose from.
Model = Literal[(AS_IN_PARAMS, *MODELS)]  # type: ignore[valid-type]


@dataclass(frozen=True)
class Request:
    """values : parameters by their dotted names, where they are not those of params.yaml."""

    values: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    reason: str = ""

    @property
    def leaves_checkout(self) -> bool:
        """Whether the checkout must stay as it is: stages then run in a worktree."""
        return bool(self.values) or self.dry_run

    def write(self, tree: Path) -> None:
        """Write the values into the params.yaml of `tree`."""
        with modify_yaml(str(tree / dvc.PARAMS)) as params:
            for key, value in self.values.items():
                set_value(params, key, value)


def request_of(
    root: Path,
    *,
    model: str = AS_IN_PARAMS,
    overrides: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    reason: str = "",
) -> Request:
    """The request that the form or the command line makes of the project at `root`.

    Raises ParamsError where the values do not fit params.yaml, or name two models.
    """
    asked = dict(dotted(overrides or {}))
    if model != AS_IN_PARAMS and asked.setdefault("model.name", model) != model:
        raise ParamsError(
            f"Asked for were model {model} and, among the overrides, model.name "
            f"{asked['model.name']}; expected one of them. Leave the other out."
        )
    written = dvc.read_yaml(root / dvc.PARAMS) or {}
    values = deepcopy(written)
    for key, value in asked.items():
        set_value(values, key, value)
    parse_params(values, source="params.yaml with the overrides")
    before = list(dotted(written))
    return Request(
        {key: value for key, value in asked.items() if (key, value) not in before},
        dry_run,
        reason.strip(),
    )


def values_of(sets: Sequence[str]) -> dict[str, Any]:
    """Overrides from KEY=VALUE each; raises ParamsError."""
    return dict(map(parse_override, sets))


def check_corpora(root: Path, params: Params) -> None:
    """Raise UnknownCorpus or MissingCorpus unless each corpus that params.yaml names is here."""
    from ser.corpora.catalogue import check_present

    check_present(root, params.data.corpora)
    check_present(root, params.gate.corpora, key="gate.corpora")
