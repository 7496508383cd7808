"""The client of programs that do other work while they wait: asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from ser.client import calls, session, timelines
from ser.client.audio import Chunk, Frames, Recording
from ser.client.calls import Call, Settings
from ser.client.errors import ClientError
from ser.client.events import Closed, Event
from ser.client.timelines import OnProgress
from ser.client.values import Answer, Correction

Chunks = AsyncIterable[Chunk] | Iterable[Chunk]


class AsyncClient:
    """`Client`, whose methods are awaited; they take and raise the same.

    >>> from ser.client import AsyncClient
    >>> async def label(path):
    ...     async with AsyncClient() as client:
    ...         return (await client.predict(path)).label
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 3,
    ) -> None:
        self.settings = Settings.of(url, token, timeout=timeout, retries=retries)
        self._http = httpx.AsyncClient(**self.settings.http())

    async def predict(self, recording: Recording, *, profile: str | None = None) -> Answer:
        """As `Client.predict`."""
        call = await asyncio.to_thread(calls.predict_call, recording, profile)
        return calls.read(self.settings, Answer, await self._ask(call))

    async def timeline(
        self,
        recording: Recording,
        *,
        channels: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """As `Client.timeline`."""
        call = await asyncio.to_thread(timelines.timeline_call, recording, channels)
        for tried in count(1):
            try:
                async with self._http.stream(**call.arguments()) as response:
                    if response.is_success:
                        async for line in response.aiter_lines():
                            found = timelines.timeline_in(self.settings, line, on_progress)
                            if found is not None:
                                return timelines.named(found, recording)
                        raise timelines.broken_off(self.settings)
                    await response.aread()
            except httpx.HTTPError as error:
                raise self.settings.failed(error) from error
            pause = self.settings.pause(response, tried)
            if pause is None:
                break
            await asyncio.sleep(pause)
        return calls.body_of(self.settings, response)

    async def enrol(
        self, clips: Iterable[Recording], *, on_left_out: Callable[[str], object] | None = None
    ) -> str:
        """As `Client.enrol`."""
        body = await self._ask(await asyncio.to_thread(calls.enrol_call, clips))
        for reason in body.get("left_out", ()) if on_left_out else ():
            on_left_out(reason)  # type: ignore[misc]
        return str(body["profile"])

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return await self._ask(calls.MODEL)

    async def ready(self) -> bool:
        """As `Client.ready`."""
        return (await self._look())[0]

    async def wait_until_ready(self, seconds: float = 60.0) -> None:
        """As `Client.wait_until_ready`."""
        deadline = time.monotonic() + seconds
        while True:
            is_ready, why = await self._look()
            if is_ready:
                return
            if time.monotonic() >= deadline:
                raise calls.not_ready(self.settings, seconds, why)
            await asyncio.sleep(calls.LOOK_SECONDS)

    async def correct(
        self,
        request_id: str,
        label: str,
        *,
        consent: bool,
        audio: Recording | None = None,
        predicted: str | None = None,
    ) -> Correction:
        """As `Client.correct`."""
        call = calls.correct_call(
            request_id, label, consent=consent, predicted=predicted, audio=audio
        )
        return calls.read(self.settings, Correction, await self._ask(call))

    async def delete_correction(self, request_id: str) -> None:
        """As `Client.delete_correction`."""
        await self._ask(calls.delete_call(request_id))

    def stream(
        self,
        chunks: Chunks,
        *,
        consent: bool,
        channels: int = 1,
        profiles: Sequence[str | None] = (),
    ) -> AsyncLiveStream:
        """As `Client.stream`, for `async for` and `async with`.

        chunks : best an async iterable; an ordinary one must not block.
        """
        return AsyncLiveStream(self.settings, chunks, session.Opening(channels, consent, profiles))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, call: Call) -> dict[str, Any]:
        for tried in count(1):
            response = await self._send(call)
            pause = self.settings.pause(response, tried)
            if pause is None:
                break
            await asyncio.sleep(pause)
        return calls.body_of(self.settings, response)

    async def _look(self) -> tuple[bool, str]:
        try:
            response = await self._send(calls.READY)
        except ClientError as error:
            return False, error.found
        return calls.is_ready(self.settings, response)

    async def _send(self, call: Call) -> httpx.Response:
        try:
            return await self._http.request(**call.arguments())
        except httpx.HTTPError as error:
            raise self.settings.failed(error) from error


class AsyncLiveStream(AsyncIterator[Event]):
    """Events of a session, the last of them `Closed`; see `Client.stream`.

    session_id : once it is open, at the first event or in an `async with`.
    """

    def __init__(self, settings: Settings, chunks: Chunks, opening: session.Opening) -> None:
        self._settings, self._chunks, self._opening = settings, chunks, opening
        self._socket: ClientConnection | None = None
        self._sending: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._finished = self._over = False
        self.session_id = ""

    async def __aenter__(self) -> Self:
        if self._socket is None:
            self._socket = await self._open()
            self._sending = asyncio.create_task(self._send_all(self._socket))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._over:
            raise StopAsyncIteration
        await self.__aenter__()
        assert self._socket is not None
        while True:
            try:
                event = session.event_in(self._settings, await self._socket.recv())
            except ConnectionClosed as error:
                self._over = True
                raise self._failure or session.ended(self._settings, error) from error
            if event is None:
                continue
            if isinstance(event, Closed):
                await self.close()
                if self._failure is not None:
                    raise self._failure
            return event

    async def finish(self) -> None:
        """Send no more audio: the open utterance's final comes, then `Closed`."""
        if self._socket is not None and not self._finished:
            self._finished = True
            with suppress(ConnectionClosed):
                await self._socket.send(session.CLOSE)

    async def close(self) -> None:
        """Leave at once; what the server has not answered yet is lost."""
        self._finished = self._over = True
        if self._sending is not None and self._sending is not asyncio.current_task():
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
        if self._socket is not None:
            await self._socket.close()

    async def _open(self) -> ClientConnection:
        for tried in count(1):
            try:
                socket = await connect(**self._settings.socket())
            except (OSError, InvalidHandshake, InvalidURI) as error:
                raise session.not_opened(self._settings, error) from error
            try:
                await self._begin(socket)
            except ConnectionClosed as error:
                if session.is_full(error) and tried <= self._settings.retries:
                    await asyncio.sleep(calls.pause_seconds("1", tried))
                    continue
                raise session.ended(self._settings, error) from error
            except BaseException:
                await socket.close()
                raise
            break
        return socket

    async def _begin(self, socket: ClientConnection) -> None:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout):
                message = session.message_of(settings, await socket.recv())
                self.session_id = session.created(settings, message)
                await socket.send(self._opening.update())
                while not session.updated(
                    settings, session.message_of(settings, await socket.recv()), self.session_id
                ):
                    pass
        except TimeoutError as error:
            raise session.not_opened(settings, error) from error

    async def _send_all(self, socket: ClientConnection) -> None:
        frames = Frames(self._opening.channels)
        try:
            async for chunk in _asynchronous(self._chunks):
                for frame in frames.of(chunk):
                    if self._finished:
                        return
                    await socket.send(frame)
            frames.check_end()
            await self.finish()
        except ConnectionClosed:
            # Whoever receives finds out why.
            return
        except Exception as error:
            # It is the receiver's to raise.
            self._failure = error
            await socket.close()


async def _asynchronous(chunks: Chunks) -> AsyncIterator[Chunk]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk
            # Others have their turn, too.
            await asyncio.sleep(0)
