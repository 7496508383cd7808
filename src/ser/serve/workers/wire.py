"""Messages between the server and its worker processes: a JSON header and bytes, never a pickle.

A frame is two big-endian lengths of 4 bytes, the header, the payload. Workers are single-threaded
and block; the server's side is asyncio.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import struct
from typing import Any

LENGTHS = struct.Struct("!II")
Header = dict[str, Any]
Bytes = bytes | bytearray | memoryview


class Gone(Exception):
    """The other side of a wire has ended."""


class WorkerWire:
    """A worker's side: calls block."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(True)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def has_message(self) -> bool:
        """Whether `receive` would not wait, or only for the rest of a message."""
        return bool(self._poll.poll(0))

    def receive(self) -> tuple[Header, bytearray]:
        """The next message; raises Gone where the server has ended."""
        header_size, size = LENGTHS.unpack(self._exactly(LENGTHS.size))
        return json.loads(self._exactly(header_size)), self._exactly(size)

    def send(self, header: Header, payload: Bytes = b"") -> None:
        """Send a message; raises Gone where the server has ended."""
        head = json.dumps(header).encode()
        body = memoryview(payload).cast("B")
        try:
            self._sock.sendall(LENGTHS.pack(len(head), len(body)) + head)
            if len(body):
                self._sock.sendall(body)
        except OSError as error:
            raise Gone from error

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            try:
                n = self._sock.recv_into(view[at:])
            except OSError as error:
                raise Gone from error
            if n == 0:
                raise Gone
            at += n
        return data


class ServerWire:
    """The server's side of one worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def of(cls, sock: socket.socket) -> ServerWire:
        return cls(*await asyncio.open_connection(sock=sock, limit=2**20))

    async def receive(self) -> tuple[Header, bytes]:
        """The next message; raises Gone where the worker has ended."""
        try:
            lengths = await self._reader.readexactly(LENGTHS.size)
            header_size, size = LENGTHS.unpack(lengths)
            header = json.loads(await self._reader.readexactly(header_size))
            return header, await self._reader.readexactly(size) if size else b""
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Gone from error

    def send(self, header: Header, *payload: Bytes) -> None:
        """Queue a message; its payload is the parts in a row."""
        head = json.dumps(header).encode()
        size = sum(map(len, payload))
        self._writer.write(LENGTHS.pack(len(head), size) + head)
        for part in payload:
            self._writer.write(part)

    def close(self) -> None:
        self._writer.close()
