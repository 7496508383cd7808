"""REST: the timeline of a long recording, with its progress where that is asked for."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from ser.params.timeline import Channels
from ser.serve.interfaces.problems import INTERNAL_MESSAGE, Problem
from ser.serve.interfaces.rest import BINARY, COMMON, body
from ser.serve.interfaces.timeline_schema import TimelineAnswer
from ser.serve.interfaces.uploads import Bounds, form_of
from ser.serve.logs import event
from ser.serve.state import State
from ser.serve.timelines.making import Timelines
from ser.serve.timelines.spool import Spool
from ser.serve.workers.errors import INTERNAL, Unanswerable
from ser.serve.workers.pool import NoModel

JSON, LINES = "application/json", "application/x-ndjson"
#: Seconds between two looks at whether the client is still there; a line of progress each time.
LOOK_SECONDS = 0.5
DESCRIPTION = (
    "What `ser timeline --json` writes. With `Accept: application/x-ndjson` the answer is lines of "
    'JSON: `{"type": "progress", "seconds", "of"}` while it is made, at the end `{"type": '
    '"timeline", "timeline"}`, or `{"type": "error", "status", "error"}` with what else would be '
    "the status and the body of an error."
)


def timeline_routes(state: State) -> APIRouter:
    router = APIRouter()
    timelines = Timelines(state)

    @router.post(
        "/v1/timeline",
        response_model=TimelineAnswer,
        responses=COMMON | {200: {"content": {LINES: {"schema": {"type": "string"}}}}},
        openapi_extra=body(
            {"file": {**BINARY, "description": "The recording, of any length up to the limit."}},
            raw=True,
            required=("file",),
        ),
        summary="Perceived emotions over a long recording, channel by channel",
        description=DESCRIPTION,
    )
    async def timeline(
        request: Request,
        channels: Annotated[
            Channels | None,
            Query(description="each, mix, or auto: each channel, unless they are alike."),
        ] = None,
    ) -> Response:
        with ExitStack() as held:
            if state.served is None:
                raise Problem("no_model", state.waits_for, close=True)
            held.enter_context(state.admission.timeline())
            recording = await _received(request, state)
            held.callback(recording.close)
            params = state.timeline
            if channels is not None:
                params = params.model_copy(update={"channels": channels})
            run = _Run(state, request, lambda told: timelines.make(recording, params, told))
            if LINES in request.headers.get("accept", ""):
                # What is held is given back when the last line is sent, or the client has left.
                return StreamingResponse(run.lines(held.pop_all()), media_type=LINES)
            return Response(await run.document(), media_type=JSON)

    return router


async def _received(request: Request, state: State) -> Spool:
    limits = state.params.limits
    bounds = Bounds(round(limits.max_timeline_megabytes * 2**20), limits.timeline_body_seconds)
    made: list[Spool] = []

    def new_file() -> Spool:
        made.append(Spool())
        return made[-1]

    kept = None
    try:
        kept = (await form_of(request, bounds, _Count(), new_file)).one_file("file")
        if kept is None:
            raise Problem("bad_request", "The form has no part `file`; send the recording there.")
        return kept
    finally:
        for one in made:
            if one is not kept:
                one.close()


@dataclass
class _Count:
    """The number of places bounds the bytes of all uploads together."""

    size: int = 0

    def add(self, size: int) -> None:
        self.size += size


class _Run:
    """One timeline on its way to a client; it ends when the client leaves."""

    def __init__(self, state: State, request: Request, make: Any) -> None:
        self._state, self._request = state, request
        self._seconds = 0.0
        self._of: float | None = None
        self._make = make

    async def document(self) -> bytes:
        """The document; raises Problem."""
        task = asyncio.create_task(self._made())
        try:
            while not task.done():
                await asyncio.wait([task], timeout=LOOK_SECONDS)
                await self._check()
            return task.result()
        finally:
            await _ended(task)

    async def lines(self, held: ExitStack) -> AsyncIterator[bytes]:
        with held:
            task = asyncio.create_task(self._made())
            told = None
            try:
                while not task.done():
                    await asyncio.wait([task], timeout=LOOK_SECONDS)
                    await self._check()
                    if not task.done() and told != self._seconds:
                        told = self._seconds
                        seconds = round(self._seconds, 1)
                        yield _line({"type": "progress", "seconds": seconds, "of": self._of})
                yield b'{"type":"timeline","timeline":' + task.result() + b"}\n"
            except Problem as problem:
                self._state.metrics.rejects.labels(problem.code).inc()
                error = problem.body(self._request.state.request_id)
                yield _line({"type": "error", "status": problem.status, "error": error})
            finally:
                await _ended(task)

    async def _check(self) -> None:
        """Raises Problem where the client has left, or the server must stop."""
        if await self._request.is_disconnected():
            self._state.metrics.timelines.labels("left").inc()
            raise Problem("bad_request", "The client left.", close=True)
        if self._state.stop.is_set():
            raise Problem("stopping", "The server stops; ask another one.", close=True)

    async def _made(self) -> bytes:
        metrics, began = self._state.metrics, time.perf_counter()
        try:
            found, _ = await self._make(self._tell)
        except NoModel as error:
            code = "stopping" if self._state.stopping else "no_model"
            words = "The server stops; ask another one."
            raise Problem(code, words if self._state.stopping else self._state.waits_for) from error
        except Unanswerable as error:
            metrics.timelines.labels("refused").inc()
            if error.code != INTERNAL:
                raise Problem(error.code, error.message) from error
            event("worker_error", 40, error=error.message)
            raise Problem(INTERNAL, INTERNAL_MESSAGE) from error
        metrics.timelines.labels("made").inc()
        metrics.timeline_seconds.inc(self._seconds)
        event(
            "timeline",
            seconds=round(self._seconds, 1),
            ms=round(1000 * (time.perf_counter() - began)),
        )
        made: bytes = found
        return made

    def _tell(self, seconds: float, of: float | None) -> None:
        # Pieces that are measured beside each other end in any order.
        self._seconds = max(self._seconds, seconds)
        self._of = of


async def _ended(task: asyncio.Task[bytes]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
