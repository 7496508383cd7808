"""How worker processes begin. What they import, the server itself does not need."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ser.io.audio.limits import Limits
from ser.serve.workers.job import Job

if TYPE_CHECKING:
    from ser.serve.timelines.job import ReadingJob

#: Imported once by the process that workers are forked from.
PRELOADED = [
    "ser.serve.workers.decoder",
    "ser.serve.workers.inference",
    "ser.serve.timelines.reader",
]


def infer(sock: socket.socket, job: Job) -> None:
    from ser.serve.workers import inference

    _name("ser-infer")
    inference.main(sock, job)


def decode(sock: socket.socket, limits: Limits, megabytes: int) -> None:
    from ser.serve.workers import decoder

    _name("ser-decode")
    decoder.main(sock, limits, megabytes)


def read(sock: socket.socket, job: ReadingJob) -> None:
    from ser.serve.timelines import reader

    _name("ser-read")
    reader.main(sock, job)


def _name(name: str) -> None:
    """What `top` and `ps` call the process, where the system has a place for it."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name, encoding="utf-8")
