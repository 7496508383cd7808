"""The client of programs that wait for each answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Self

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from ser.client import calls, session, timelines
from ser.client.audio import Chunk, Frames, Recording
from ser.client.calls import Call, Settings
from ser.client.errors import ClientError
from ser.client.events import Closed, Event
from ser.client.timelines import OnProgress
from ser.client.values import Answer, Correction


class Client:
    """A server of `ser serve`; threads may share it. It closes its connections in a `with`.

    url, token : default to SER_SERVE_URL, then this machine's port 8000, and SER_SERVE_TOKEN.
    timeout : seconds for each step of a request. retries : further tries where the server is
    overloaded (429), each after the pause that it asks for and a random part more.

    Every method raises ClientError, one line: found, expected, remedy; its `code` says which.

    >>> from ser.client import Client
    >>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
    ...     client.predict("clip.wav").label
    'happiness'
    >>> Client("127.0.0.1:8000")
    Traceback (most recent call last):
    ser.client.errors.ClientError: The address is '127.0.0.1:8000'; expected one such as \
http://127.0.0.1:8000.
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
        self._http = httpx.Client(**self.settings.http())

    def predict(self, recording: Recording, *, profile: str | None = None) -> Answer:
        """The perceived emotion of one utterance.

        recording : a path, a file's bytes, a file open for bytes, or (samples, Hz): float32 or
        int16, (n_samples,) or (n_samples, n_channels). profile : the speaker's, from `enrol`.
        """
        body = self._ask(calls.predict_call(recording, profile))
        return calls.read(self.settings, Answer, body)

    def timeline(
        self,
        recording: Recording,
        *,
        channels: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Perceived emotions over a long recording: what `ser timeline --json` writes.

        channels : each, mix, or auto: each channel, unless they are alike. on_progress : is called
        with the seconds that are measured, and all of them, None where that is unknown.
        """
        call = timelines.timeline_call(recording, channels)
        for tried in count(1):
            try:
                with self._http.stream(**call.arguments()) as response:
                    if response.is_success:
                        for line in response.iter_lines():
                            found = timelines.timeline_in(self.settings, line, on_progress)
                            if found is not None:
                                return timelines.named(found, recording)
                        raise timelines.broken_off(self.settings)
                    response.read()
            except httpx.HTTPError as error:
                raise self.settings.failed(error) from error
            pause = self.settings.pause(response, tried)
            if pause is None:
                break
            time.sleep(pause)
        return calls.body_of(self.settings, response)

    def enrol(
        self, clips: Iterable[Recording], *, on_left_out: Callable[[str], object] | None = None
    ) -> str:
        """A speaker's profile from unlabelled clips, 1 to 20; the server stores nothing of it.

        on_left_out : is called with a sentence on each clip that is not in it.
        """
        body = self._ask(calls.enrol_call(clips))
        for reason in body.get("left_out", ()) if on_left_out else ():
            on_left_out(reason)  # type: ignore[misc]
        return str(body["profile"])

    def model(self) -> dict[str, Any]:
        """The card of the model that serves: scores, lineage, intended and prohibited use."""
        return self._ask(calls.MODEL)

    def ready(self) -> bool:
        """Whether the server is there and its model answers."""
        return self._look()[0]

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Return once it is ready; raises ClientError `not_ready` after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            is_ready, why = self._look()
            if is_ready:
                return
            if time.monotonic() >= deadline:
                raise calls.not_ready(self.settings, seconds, why)
            time.sleep(calls.LOOK_SECONDS)

    def correct(
        self,
        request_id: str,
        label: str,
        *,
        consent: bool,
        audio: Recording | None = None,
        predicted: str | None = None,
    ) -> Correction:
        """Say what a prediction should have been; the server keeps it for some days.

        request_id : of the Answer, or the utterance_id of a Measurement. consent : of all whom it
        concerns. audio : the recording, where it may be kept, too. predicted : the label that was
        answered.
        """
        call = calls.correct_call(
            request_id, label, consent=consent, predicted=predicted, audio=audio
        )
        return calls.read(self.settings, Correction, self._ask(call))

    def delete_correction(self, request_id: str) -> None:
        """Delete a correction and its recording; raises ClientError `not_found` without one."""
        self._ask(calls.delete_call(request_id))

    def stream(
        self,
        chunks: Iterable[Chunk],
        *,
        consent: bool,
        channels: int = 1,
        profiles: Sequence[str | None] = (),
    ) -> LiveStream:
        """Events of live audio, while `chunks` are sent: iterate over what is returned.

        chunks : 16 kHz samples, any number at a time: int16 or float32, (n_samples,) or (n_samples,
        2), or s16le bytes. They are taken in a thread of its own, no faster than the server takes
        them. consent : whether the person who is recorded has agreed; without, no audio is taken.
        channels : 2 for a call, a party each. profiles : for each channel, from `enrol`, or None.
        Leave a `with` of it to end the session early.
        """
        return LiveStream(self.settings, chunks, session.Opening(channels, consent, profiles))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, call: Call) -> dict[str, Any]:
        for tried in count(1):
            response = self._send(call)
            pause = self.settings.pause(response, tried)
            if pause is None:
                break
            time.sleep(pause)
        return calls.body_of(self.settings, response)

    def _look(self) -> tuple[bool, str]:
        try:
            response = self._send(calls.READY)
        except ClientError as error:
            return False, error.found
        return calls.is_ready(self.settings, response)

    def _send(self, call: Call) -> httpx.Response:
        try:
            return self._http.request(**call.arguments())
        except httpx.HTTPError as error:
            raise self.settings.failed(error) from error


class LiveStream(Iterator[Event]):
    """Events of a session, the last of them `Closed`; see `Client.stream`.

    session_id : once it is open, at the first event or in a `with`.
    """

    def __init__(
        self, settings: Settings, chunks: Iterable[Chunk], opening: session.Opening
    ) -> None:
        self._settings, self._chunks, self._opening = settings, chunks, opening
        self._socket: ClientConnection | None = None
        self._failure: Exception | None = None
        self._sending, self._finished, self._over = threading.Lock(), False, False
        self.session_id = ""

    def __enter__(self) -> Self:
        if self._socket is None:
            self._socket = self._open()
            # A source that never ends, such as a microphone, does not keep the program.
            threading.Thread(target=self._send_all, name="ser-stream", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        if self._over:
            raise StopIteration
        self.__enter__()
        assert self._socket is not None
        while True:
            try:
                event = session.event_in(self._settings, self._socket.recv())
            except ConnectionClosed as error:
                self._over = True
                raise self._failure or session.ended(self._settings, error) from error
            if event is None:
                continue
            if isinstance(event, Closed):
                self.close()
                if self._failure is not None:
                    raise self._failure
            return event

    def finish(self) -> None:
        """Send no more audio: the open utterance's final comes, then `Closed`."""
        with self._sending:
            if self._socket is not None and not self._finished:
                self._finished = True
                with suppress(ConnectionClosed):
                    self._socket.send(session.CLOSE)

    def close(self) -> None:
        """Leave at once; what the server has not answered yet is lost."""
        self._finished = self._over = True
        if self._socket is not None:
            self._socket.close()

    def _open(self) -> ClientConnection:
        for tried in count(1):
            try:
                socket = connect(**self._settings.socket())
            except (OSError, InvalidHandshake, InvalidURI) as error:
                raise session.not_opened(self._settings, error) from error
            try:
                self._begin(socket)
            except ConnectionClosed as error:
                if session.is_full(error) and tried <= self._settings.retries:
                    time.sleep(calls.pause_seconds("1", tried))
                    continue
                raise session.ended(self._settings, error) from error
            except BaseException:
                socket.close()
                raise
            break
        return socket

    def _begin(self, socket: ClientConnection) -> None:
        settings = self._settings
        try:
            message = session.message_of(settings, socket.recv(settings.timeout))
            self.session_id = session.created(settings, message)
            socket.send(self._opening.update())
            while not session.updated(
                settings,
                session.message_of(settings, socket.recv(settings.timeout)),
                self.session_id,
            ):
                pass
        except TimeoutError as error:
            raise session.not_opened(settings, error) from error

    def _send_all(self) -> None:
        socket, frames = self._socket, Frames(self._opening.channels)
        assert socket is not None
        try:
            for chunk in self._chunks:
                for frame in frames.of(chunk):
                    with self._sending:
                        if self._finished:
                            return
                        socket.send(frame)
            frames.check_end()
            self.finish()
        except ConnectionClosed:
            # Whoever receives finds out why.
            return
        except Exception as error:
            # It is the receiver's to raise.
            self._failure = error
            socket.close()
