"""What every section of params.yaml is."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A section of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def one_of(names: Iterable[str], name: str) -> str:
    """`name`; raises pydantic's error unless it is among `names`."""
    names = list(names)
    if name not in names:
        raise PydanticCustomError("name", "expected one of {known}", {"known": ", ".join(names)})
    return name
