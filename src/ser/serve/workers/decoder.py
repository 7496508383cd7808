"""The process that decodes uploads: whatever a recording does to a decoder stays in it.

It may use so much memory and write no file; the server ends it when it takes too long.
"""

from __future__ import annotations

import io
import resource
import signal
import socket
from contextlib import suppress

import numpy as np
import soundfile

from ser.errors import AudioError, RefusedAudio
from ser.io.audio.limits import Limits
from ser.io.audio.read import decode
from ser.serve.workers.errors import described
from ser.serve.workers.wire import Gone, WorkerWire


def main(sock: socket.socket, limits: Limits, megabytes: int) -> None:
    """Answer {id} and a file's bytes with {id, sr} and float32 samples, or with {id, error}."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # It ends with the server, which has requests to finish.
        signal.signal(number, signal.SIG_IGN)
    _warm(limits)
    _confine(megabytes)
    wire = WorkerWire(sock)
    wire.send({"ready": True})
    with suppress(Gone):
        while True:
            header, data = wire.receive()
            answer, samples = _answer(bytes(data), limits)
            wire.send({"id": header["id"], **answer}, samples)


def _answer(data: bytes, limits: Limits) -> tuple[dict[str, object], memoryview]:
    nothing = memoryview(b"")
    try:
        recording = decode(data, limits=limits)
    except AudioError as error:
        return {"error": described(error)}, nothing
    except MemoryError:
        refused = RefusedAudio("takes too much memory to decode", "a shorter recording", "Cut it.")
        return {"error": described(refused)}, nothing
    samples = np.ascontiguousarray(recording.y, dtype=np.float32)
    return {"sr": recording.sr}, samples.data


def _warm(limits: Limits) -> None:
    """Decode something, and import what decoders import late: no client waits for that."""
    with suppress(ImportError):
        import av  # noqa: F401
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full((8_000, 2), 0.1), 8_000, format="FLAC")
    decode(buffer.getvalue(), limits=limits)


def _confine(megabytes: int) -> None:
    size = megabytes * 2**20
    for what, limit in (
        (resource.RLIMIT_AS, size),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
