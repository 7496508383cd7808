"""A registered version of the model, as the registry lists it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MODEL = "emotion-recognition"


@dataclass(frozen=True)
class Version:
    """A registered version; `verdict` is None until the gate has judged it."""

    version: int
    run_id: str
    bundle_sha256: str
    split_sha256: str | None
    aliases: tuple[str, ...]
    verdict: str | None
    verdict_reason: str | None
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{MODEL}/{self.version}"
