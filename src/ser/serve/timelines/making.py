"""From an upload to a timeline: read by a process of its own, measured by those that predict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from ser.io.audio.limits import Limits
from ser.params.timeline import TimelineParams
from ser.serve.state import State
from ser.serve.timelines.job import ReadingJob
from ser.serve.timelines.sharing import OtherModel, Sharing
from ser.serve.timelines.spool import Spool
from ser.serve.workers.child import Child
from ser.serve.workers.entry import read
from ser.serve.workers.errors import Unanswerable
from ser.serve.workers.generation import Served
from ser.serve.workers.pool import NoModel
from ser.serve.workers.wire import Gone, Header

#: Pieces of speech that wait for a process or are measured, for each process.
AHEAD = 2
#: Seconds that the process which reads has to start, and for each of its answers.
START_SECONDS, READ_SECONDS = 120.0, 120.0

#: Is called with seconds that are measured, and seconds in all, None where that is unknown.
OnProgress = Callable[[float, float | None], object]


class Timelines:
    """Makes timelines with the processes of a server."""

    def __init__(self, state: State) -> None:
        bounds = state.params.limits
        self._state = state
        self._sharing = Sharing(state.pool, answer_seconds=bounds.answer_seconds)
        self._limits = Limits(
            max_bytes=round(bounds.max_timeline_megabytes * 2**20),
            max_seconds=bounds.max_timeline_seconds,
            what="recording",
        )

    async def make(
        self, recording: Spool, params: TimelineParams, on_progress: OnProgress
    ) -> tuple[bytes, Served]:
        """The document as JSON, and the model that it is of.

        One model makes all of it: where another takes over amid it, it begins anew, once. Raises
        Unanswerable where the recording is unfit, NoModel where nothing serves.
        """
        for _ in range(2):
            served = self._state.served
            if served is None:
                raise NoModel
            try:
                return await self._made(recording, served, params, on_progress), served
            except OtherModel:
                continue
        raise Unanswerable(
            "overloaded",
            "The server changed its model twice while it made the timeline; try again.",
        )

    async def _made(
        self, recording: Spool, served: Served, params: TimelineParams, on_progress: OnProgress
    ) -> bytes:
        job = ReadingJob(
            recording.handle(),
            served.bundle,
            served.bundle_sha256,
            served.version,
            self._limits,
            self._state.params.limits.decoder_megabytes,
            params,
        )
        reader = Child(read, job)
        try:
            async with asyncio.timeout(START_SECONDS):
                await reader.start()
            return await _Run(reader, self._sharing, served.bundle_sha256, on_progress).document()
        except (Gone, TimeoutError, OSError, EOFError) as error:
            raise Unanswerable(
                "corrupt_audio",
                "The recording cannot be read: it ends the process that reads it, or takes longer "
                f"than {READ_SECONDS:g} s for a minute of it. Convert it.",
            ) from error
        finally:
            reader.kill()
            reader.end()


class _Run:
    """One reading of a recording."""

    def __init__(
        self, reader: Child, sharing: Sharing, bundle_sha256: str, on_progress: OnProgress
    ) -> None:
        self._reader, self._sharing, self._sha256 = reader, sharing, bundle_sha256
        self._on_progress = on_progress
        self._answers: dict[int, list[dict[str, Any]]] = {}

    async def document(self) -> bytes:
        ahead = asyncio.Semaphore(AHEAD * self._sharing.workers)
        number = 0
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    header, samples = await self._asked({"op": "next"})
                    place = header["seconds"], header["of"]
                    if header["work"] is not None:
                        await ahead.acquire()
                        tasks.create_task(
                            self._measure(number, header["work"], samples, ahead, place)
                        )
                        number += 1
                    elif number == len(self._answers):
                        self._on_progress(*place)
                    if header["done"]:
                        break
        except ExceptionGroup as errors:
            # Of several, which are alike, the first.
            raise errors.exceptions[0] from None
        answers = [self._answers[k] for k in range(number)]
        _, found = await self._asked({"op": "finish"}, json.dumps(answers).encode())
        return found

    async def _measure(
        self,
        number: int,
        work: Header,
        samples: bytes,
        ahead: asyncio.Semaphore,
        place: tuple[float, float | None],
    ) -> None:
        try:
            if work["windows"]:
                self._answers[number] = await self._sharing.measure(
                    work, samples, bundle_sha256=self._sha256
                )
            else:
                self._answers[number] = []
        finally:
            ahead.release()
        self._on_progress(*place)

    async def _asked(self, header: Header, payload: bytes = b"") -> tuple[Header, bytes]:
        async with asyncio.timeout(READ_SECONDS):
            answer, body = await self._reader.ask(header, payload)
        if "error" in answer:
            raise Unanswerable(**answer["error"])
        return answer, body
