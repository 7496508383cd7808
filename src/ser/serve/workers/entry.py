"""How worker processes begin. What they import, the server itself does not need."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from ser.io.audio.limits import Limits

#: Imported once by the process that workers are forked from.
PRELOADED = ["ser.serve.workers.decoder", "ser.serve.workers.inference"]


@dataclass(frozen=True)
class Job:
    """What an inference process serves. limits : of recordings that it decodes itself (WAV)."""

    bundle: Path
    bundle_sha256: str
    version: int | None
    limits: Limits


def infer(sock: socket.socket, job: Job) -> None:
    from ser.serve.workers import inference

    inference.main(sock, job)


def decode(sock: socket.socket, limits: Limits, megabytes: int) -> None:
    from ser.serve.workers import decoder

    decoder.main(sock, limits, megabytes)
