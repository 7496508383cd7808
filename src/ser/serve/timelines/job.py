"""What a process that reads a recording is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ser.io.audio.limits import Limits
from ser.params.timeline import TimelineParams
from ser.serve.timelines.spool import Handle


@dataclass(frozen=True)
class ReadingJob:
    """The recording, and the model that it is read for. megabytes : of memory, at most."""

    file: Handle
    bundle: Path
    bundle_sha256: str
    version: int | None
    limits: Limits
    megabytes: int
    params: TimelineParams
