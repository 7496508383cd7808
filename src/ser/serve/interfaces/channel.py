"""One party of a session: its audio on the way to a worker, its events on the way back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ser.params.serving import StreamParams
from ser.serve.state import State
from ser.serve.workers.child import Child
from ser.serve.workers.generation import Generation
from ser.serve.workers.wire import Gone

#: Audio that waits for a worker, in seconds and in frames; a client that sends more is read no
#: further.
MOST_WAITING_SECONDS, MOST_WAITING_FRAMES = 2.0, 256
SAMPLE_BYTES = 2
#: Seconds that a session waits for a worker in place of one that ended.
AWAY_SECONDS = 15.0
#: Workers that may end at the same audio of a session; it may be what ends them.
MOST_LOSSES = 3
OnEvents = Callable[["Channel", list[dict[str, Any]]], None]


class Channel:
    """Sends samples to a worker, and again to another one where the first is replaced.

    profile : the voice that is known, of the model with `made_for` as hash. on_events : is called
    with a worker's events, in order. `closed` is set when the last of them came.
    """

    def __init__(self, state: State, key: str, options: StreamParams, on_events: OnEvents) -> None:
        self.state, self.key, self._options = state, key, options
        self._on_events = on_events
        self.voice, self.made_for = b"", ""
        self._child: Child | None = None
        self._generation: Generation | None = None
        #: Frames that a worker has been sent and has not taken yet, with the time they came.
        self._waiting: deque[bytes] = deque()
        self._arrivals: deque[tuple[int, float]] = deque()
        self.sent = self.taken = self._losses = 0
        self._releasing = self._closing = self._away = False
        self._moving: asyncio.Task[None] | None = None
        self._room, self.closed = asyncio.Event(), asyncio.Event()
        self._room.set()

    def open(self) -> None:
        """Begin on a worker of the model that serves; raises Gone where there is none."""
        self._generation = self.state.pool.current
        self._child = self._generation.child_for_stream() if self._generation else None
        if self._child is None or self._generation is None:
            raise Gone
        same = self.made_for == self._generation.served.bundle_sha256
        voice = self.voice if same else b""
        if self.voice and not same:
            self.voice = b""
            self._on_events(self, [{"type": "profile.expired"}])
        header = {"op": "open", "id": self.key, "start": self.taken, "voice": len(voice)}
        self._child.attach(self.key, self._came)
        self._child.tell({**header, "options": self._options.model_dump()}, voice)
        self._releasing = False

    @property
    def version(self) -> int | None:
        return self._generation.served.version if self._generation else None

    async def send(self, frame: bytes) -> None:
        """Queue a frame of s16le; waits while too much is queued. Raises Gone: nothing serves."""
        try:
            async with asyncio.timeout(self.state.params.limits.answer_seconds):
                await self._room.wait()
        except TimeoutError:
            # The worker hangs; `_came` is told when it has ended.
            if self._child is not None:
                self._child.kill()
            await self._room.wait()
        if self._away:
            raise Gone
        if self._generation is not None and self._generation.retired and not self._releasing:
            self._releasing = True
            self._tell({"op": "release", "id": self.key})
        self._waiting.append(frame)
        self.sent += len(frame) // SAMPLE_BYTES
        self._arrivals.append((self.sent, time.perf_counter()))
        self._tell({"op": "audio", "id": self.key}, frame)
        self._look()

    def close(self) -> None:
        """No more audio comes: the final of an open utterance is wanted."""
        self._closing = True
        self._tell({"op": "close", "id": self.key})

    def leave(self) -> None:
        """Nobody waits for events any more."""
        if self._moving is not None:
            self._moving.cancel()
        if self._child is not None:
            self._tell({"op": "close", "id": self.key})
            self._child.detach(self.key)

    def seconds_since(self, sample: int) -> float:
        """Seconds since the sample at that position came."""
        self._forget_arrivals(sample)
        return time.perf_counter() - self._arrivals[0][1] if self._arrivals else 0.0

    def _forget_arrivals(self, before: int) -> None:
        while len(self._arrivals) > 1 and self._arrivals[0][0] < before:
            self._arrivals.popleft()

    def _tell(self, header: dict[str, Any], *payload: bytes) -> None:
        # Of a worker that has ended, `_came` is told.
        if self._child is not None and not self._child.died.is_set():
            self._child.tell(header, *payload)

    def _came(self, header: dict[str, Any], _: bytes) -> None:
        self._take(header.get("taken", 0))
        if events := header.get("events"):
            self._on_events(self, events)
        # Results to come end later than what was taken.
        self._forget_arrivals(self.taken)
        lost = header.get("gone") or header.get("ended") == "error"
        if lost:
            self._losses += 1
            # What it had taken of an open utterance is gone with it.
            self._on_events(self, [{"type": "lost", "error": header.get("error")}])
        if header.get("ended") == "closed" or (lost and self._closing):
            self.closed.set()
        elif lost or header.get("ended") == "released":
            if self._child is not None:
                self._child.detach(self.key)
            self._child = None
            if self._losses < MOST_LOSSES:
                self._moving = asyncio.create_task(self._move())
            else:
                self._give_up()
        self._look()

    def _take(self, samples: int) -> None:
        if samples:
            self._losses = 0
        self.taken += samples
        left = samples * SAMPLE_BYTES
        while left > 0 and self._waiting:
            first = self._waiting.popleft()
            if len(first) > left:
                self._waiting.appendleft(first[left:])
            left -= len(first)

    async def _move(self) -> None:
        """Go on with a worker of the model that serves now, as soon as there is one."""
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                self.open()
                break
            except Gone:
                self._child = None
                if time.monotonic() > deadline:
                    self._give_up()
                    return
                await asyncio.sleep(0.1)
        for frame in self._waiting:
            self._tell({"op": "audio", "id": self.key}, frame)
        if self._closing:
            self._tell({"op": "close", "id": self.key})

    def _give_up(self) -> None:
        """`send` raises Gone from now on."""
        self._away = True
        self._room.set()
        self.closed.set()

    def _look(self) -> None:
        full = (
            self.sent - self.taken >= MOST_WAITING_SECONDS * self._options.sr
            or len(self._waiting) >= MOST_WAITING_FRAMES
        )
        if full and not self._away:
            self._room.clear()
        else:
            self._room.set()
