"""What an inference process is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ser.io.audio.limits import Limits


@dataclass(frozen=True)
class Job:
    """What an inference process serves. limits : of recordings that it decodes itself (WAV)."""

    bundle: Path
    bundle_sha256: str
    version: int | None
    limits: Limits
