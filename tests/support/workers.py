"""Workers of the server that do one thing, without a model."""

from __future__ import annotations

import socket
from contextlib import suppress

from ser.serve.workers.wire import Gone, WorkerWire


def takes(sock: socket.socket) -> None:
    """Takes all audio that comes and measures none of it."""
    wire = WorkerWire(sock)
    wire.send({"ready": True})
    with suppress(Gone):
        while True:
            header, payload = wire.receive()
            if header["op"] == "audio":
                wire.send({"id": header["id"], "taken": len(payload) // 2})


def holds(sock: socket.socket) -> None:
    """Reads what comes and answers nothing: an utterance that never ends."""
    wire = WorkerWire(sock)
    wire.send({"ready": True})
    with suppress(Gone):
        while True:
            wire.receive()


def ends_at_audio(sock: socket.socket) -> None:
    """Ends at the first audio, as at samples that no decoder or network survives."""
    wire = WorkerWire(sock)
    wire.send({"ready": True})
    with suppress(Gone):
        while wire.receive()[0]["op"] != "audio":
            pass
