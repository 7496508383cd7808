"""Which encoder a model takes: its weights are no part of a bundle. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderReference:
    """name : of a folder, or on the hub; revision : there; sha256 : of its files; sr : Hz."""

    name: str
    revision: str | None
    sha256: str
    sr: int
