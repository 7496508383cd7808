"""What an inference process is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ser.io.audio.limits import Limits

#: Questions that one inference process has at once: the next one waits there already, and those
#: that wait are predicted together.
DEPTH = 2


@dataclass(frozen=True)
class Job:
    """What an inference process serves. limits : of recordings that it decodes itself (WAV)."""

    bundle: Path
    bundle_sha256: str
    version: int | None
    limits: Limits
