"""All worker processes: who gets the next recording, and which model serves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ser.io.audio.limits import Limits
from ser.params.server import ServeParams
from ser.serve.workers.child import Child
from ser.serve.workers.entry import decode
from ser.serve.workers.errors import Unanswerable
from ser.serve.workers.generation import Generation, Served
from ser.serve.workers.wire import Bytes, Gone, Header

DECODERS = 2
#: Seconds before a decoder that did not start is started again.
PAUSE = 1.0
#: Seconds that sessions of a former model have until their utterance ends.
LONGEST_UTTERANCE = 40.0
log = logging.getLogger("ser.serve")


class NoModel(Exception):
    """Nothing serves yet, or nothing any more."""


@dataclass
class Asked:
    """A question in the queue. tries : how many processes have ended at it."""

    header: Header
    payload: tuple[Bytes, ...]
    answer: asyncio.Future[Any]
    since: float = field(default_factory=time.perf_counter)
    tries: int = 0


class Pool:
    """Inference processes of the model that serves, and decoders."""

    def __init__(self, params: ServeParams, workers: int) -> None:
        bounds = params.limits
        self.limits = Limits(
            max_bytes=round(bounds.max_megabytes * 2**20), max_seconds=bounds.max_seconds
        )
        self.workers, self._bounds = workers, bounds
        self.current: Generation | None = None
        self._queue: deque[Asked] = deque()
        self._decoders: asyncio.Queue[Child] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.stopped = False

    @property
    def waiting(self) -> int:
        """Questions that no process has taken yet."""
        return len(self._queue)

    async def start_decoders(self) -> None:
        for _ in range(DECODERS):
            self._decoders.put_nowait(await self._new_decoder())

    async def serve(self, served: Served) -> None:
        """Start and warm a model's processes, let them answer from now on, end the former ones.

        Raises NotStarted: then the former model goes on.
        """
        generation = Generation(served, self.limits, self.workers, self._dispatch)
        await generation.start()
        former, self.current = self.current, generation
        self._dispatch()
        if former is not None:
            self._background(former.retire(lambda: self.stopped, LONGEST_UTTERANCE))

    async def stop(self) -> None:
        self.stopped = True
        for asked in self._queue:
            if not asked.answer.done():
                asked.answer.set_exception(NoModel())
        if self.current is not None:
            await self.current.retire(lambda: True, 0.0)
        while not self._decoders.empty():
            self._decoders.get_nowait().end()
        for task in list(self._tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, header: Header, *payload: Bytes) -> tuple[Header, bytes, Served, float]:
        """A process's answer, the model that gave it, and the seconds that it was waited for.

        Raises Unanswerable with the worker's reason, NoModel where nothing serves.
        """
        if self.current is None or self.stopped:
            raise NoModel
        asked = Asked(header, payload, asyncio.get_running_loop().create_future())
        self._queue.append(asked)
        self._dispatch()
        try:
            answer, body, served, waited = await asked.answer
        finally:
            asked.answer.cancel()
        if "error" in answer:
            raise Unanswerable(**answer["error"])
        return answer, body, served, waited

    async def decode(self, data: Bytes) -> tuple[int, bytes]:
        """Rate and float32 samples of a file's bytes, by a decoder; raises Unanswerable."""
        try:
            return await self._decoded(data)
        except Gone:
            # Perhaps another recording's fault, or a person's: it is tried once more.
            log.error("decoder_died")
        try:
            return await self._decoded(data)
        except Gone as error:
            raise Unanswerable(
                "corrupt_audio", "The recording cannot be decoded: it ends the decoder. Convert it."
            ) from error

    async def _decoded(self, data: Bytes) -> tuple[int, bytes]:
        child = await self._decoders.get()
        while child.died.is_set():
            # It ended while nobody asked anything of it.
            child.end()
            self._background(self._replace())
            child = await self._decoders.get()
        try:
            async with asyncio.timeout(self._bounds.decode_seconds):
                header, samples = await child.ask({"op": "decode"}, data)
        except BaseException as error:
            # It is in an unknown state: another one takes its place.
            child.kill()
            child.end()
            self._background(self._replace())
            if isinstance(error, TimeoutError):
                raise Unanswerable(
                    "corrupt_audio",
                    "The recording cannot be decoded: the decoder took longer than "
                    f"{self._bounds.decode_seconds:g} s. Convert it.",
                ) from error
            raise
        self._decoders.put_nowait(child)
        if "error" in header:
            raise Unanswerable(**header["error"])
        return header["sr"], samples

    async def _replace(self) -> None:
        while not self.stopped:
            try:
                self._decoders.put_nowait(await self._new_decoder())
            except (Gone, OSError, EOFError) as error:
                # Too little memory, perhaps for a moment alone.
                fields = {"reason": f"{type(error).__name__}: {error}"}
                log.error("decoder_not_started", extra={"fields": fields})
                await asyncio.sleep(PAUSE)
            else:
                return

    async def _new_decoder(self) -> Child:
        child = Child(decode, self.limits, self._bounds.decoder_megabytes)
        await child.start()
        return child

    def _dispatch(self) -> None:
        """Hand questions to processes, as long as one is free."""
        generation = self.current
        while self._queue and generation is not None:
            if self._queue[0].answer.done():
                self._queue.popleft()
                continue
            child = generation.free_child()
            if child is None:
                return
            self._background(self._ask(child, generation, self._queue.popleft()))

    async def _ask(self, child: Child, generation: Generation, asked: Asked) -> None:
        waited = time.perf_counter() - asked.since
        if asked.header.get("made_for", own := generation.served.bundle_sha256) != own:
            # A new model took over while it waited; its voice is of the former one.
            asked.answer.set_exception(
                Unanswerable("profile_refused", "Another model serves now: enrol again.")
            )
            self._dispatch()
            return
        try:
            async with asyncio.timeout(self._bounds.answer_seconds):
                header, body = await child.ask(asked.header, *asked.payload)
        except (Gone, TimeoutError) as error:
            asked.tries += 1
            if isinstance(error, TimeoutError):
                # It hangs: whatever waits for it is told when it has ended.
                child.kill()
                await child.died.wait()
            if asked.answer.done():
                return
            if asked.tries == 1:
                # Perhaps another recording's fault: it is tried once more.
                self._queue.appendleft(asked)
            else:
                asked.answer.set_exception(
                    Unanswerable("unfit_audio", "The recording ended the process that read it.")
                )
        else:
            if not asked.answer.done():
                asked.answer.set_result((header, body, generation.served, waited))
        self._dispatch()

    def _background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
