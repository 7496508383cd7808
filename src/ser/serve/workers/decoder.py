"""The process that decodes uploads: whatever a recording does to a decoder stays in it.

It may use so much memory, write no file, and open neither file nor connection; the server ends it
when it takes too long.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile

from ser.errors import AudioError, RefusedAudio
from ser.io.audio.limits import Limits
from ser.io.audio.read import decode
from ser.serve.workers.errors import described
from ser.serve.workers.wire import Gone, WorkerWire

#: Where Linux lists the open descriptors of a process.
OPEN = Path("/proc/self/fd")


def main(sock: socket.socket, limits: Limits, megabytes: int) -> None:
    """Answer {id} and a file's bytes with {id, sr} and float32 samples, or with {id, error}."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # It ends with the server, which has requests to finish.
        signal.signal(number, signal.SIG_IGN)
    warm(limits)
    confine(megabytes)
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


def warm(limits: Limits) -> None:
    """Decode something by each library, which import late: no file can be opened later."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full((8_000, 2), 0.1), 8_000, format="FLAC")
    decode(buffer.getvalue(), limits=limits)
    with suppress(ImportError):
        decode(_m4a(), limits=limits)


def _m4a() -> bytes:
    """A quarter of a second; raises ImportError where PyAV is not installed."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=48_000, layout="mono")
        y = np.full((1, 12_000), 0.1, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(y, format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return buffer.getvalue()


def confine(megabytes: int) -> None:
    """Bound this process's memory; it writes no file, and opens neither file nor connection."""
    size = megabytes * 2**20
    for what, limit in (
        (resource.RLIMIT_AS, size),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))
    if OPEN.is_dir():
        _open_no_more()


def _open_no_more() -> None:
    """Allow no descriptor beyond those that are open, the free numbers among them taken."""
    null = os.open(os.devnull, os.O_RDONLY)
    highest = max(int(path.name) for path in OPEN.iterdir() if path.exists())
    last = null
    while last < highest:
        last = os.dup(null)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
