"""The server's side of one worker process: questions out, answers matched to them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ser.parallel import fork_server
from ser.serve.workers.entry import PRELOADED
from ser.serve.workers.wire import Bytes, Gone, Header, ServerWire

#: One thread in each worker: two on two cores were ten times slower.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: Seconds that a worker has to end by itself once its wire is closed.
PATIENCE = 2.0
OnMessage = Callable[[Header, bytes], None]

_numbers = itertools.count(1)


class Child:
    """A worker process, its wire and what it has been asked; `died` is set when it has ended.

    on_message : is handed what is no answer to `ask`: events of streams.
    """

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        self._target, self._args = target, args
        self._process: Any = None
        self._asked: dict[int, asyncio.Future[tuple[Header, bytes]]] = {}
        #: Whether it measures a part of a timeline, beside what is asked.
        self.measures = False
        self._streams: dict[str, OnMessage] = {}
        self._reading: asyncio.Task[None] | None = None
        self.died = asyncio.Event()

    async def start(self) -> Header:
        """Start the process; returns its first message, or raises Gone."""
        os.environ.update(THREADS)
        context = fork_server(*PRELOADED)
        ours, theirs = socket.socketpair()
        self._process = context.Process(
            target=self._target, args=(theirs, *self._args), daemon=True
        )
        await asyncio.to_thread(self._start)
        theirs.close()
        self._wire = await ServerWire.of(ours)
        try:
            first, _ = await self._wire.receive()
        except Gone:
            self.end()
            raise
        self._reading = asyncio.create_task(self._read())
        return first

    def _start(self) -> None:
        # Ctrl-C reaches the whole group; the server alone decides when its processes end.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))

    @property
    def pid(self) -> int | None:
        pid: int | None = self._process and self._process.pid
        return pid

    @property
    def load(self) -> int:
        """Questions that are not answered yet; a part of a timeline gives way to them."""
        return len(self._asked) - self.measures

    @property
    def streams(self) -> int:
        return len(self._streams)

    async def ask(self, header: Header, *payload: Bytes) -> tuple[Header, bytes]:
        """The answer to a question; raises Gone where the process ends instead."""
        number = next(_numbers)
        answer: asyncio.Future[tuple[Header, bytes]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self.tell({**header, "id": number}, *payload)
            return await answer
        finally:
            self._asked.pop(number, None)

    def tell(self, header: Header, *payload: Bytes) -> None:
        """Send a message that has no answer of its own; raises Gone."""
        if self.died.is_set():
            raise Gone
        self._wire.send(header, *payload)

    def attach(self, key: str, on_message: OnMessage) -> None:
        """Hand messages of the stream `key` to `on_message`; of a process that ends, {"gone"}."""
        self._streams[key] = on_message

    def detach(self, key: str) -> None:
        self._streams.pop(key, None)

    def end(self) -> None:
        """Close the wire, at which a worker ends; one that is stuck is killed.

        Whoever waits for it is told, as when it ends by itself.
        """
        if hasattr(self, "_wire"):
            self._wire.close()
        if self._reading is not None:
            self._reading.cancel()
        self._lost()
        self._reaping = asyncio.create_task(asyncio.to_thread(self._reap))

    def kill(self) -> None:
        """End it at once; `died` is set when it is gone."""
        if self.pid is not None:
            self._process.kill()

    def _reap(self) -> None:
        if self.pid is None:
            return
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    async def _read(self) -> None:
        with suppress(Gone):
            while True:
                header, payload = await self._wire.receive()
                key = header["id"]
                if isinstance(key, str):
                    if on_message := self._streams.get(key):
                        on_message(header, payload)
                elif (answer := self._asked.get(key)) and not answer.done():
                    answer.set_result((header, payload))
        self._lost()

    def _lost(self) -> None:
        self.died.set()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Gone())
        streams, self._streams = self._streams, {}
        for key, on_message in streams.items():
            on_message({"id": key, "gone": True}, b"")
