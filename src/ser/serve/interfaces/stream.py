"""The WebSocket /v1/stream: frames of audio in, perceived emotions out.

docs/serving.md has the protocol. A session has one or two channels; each is a party of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
from fastapi import APIRouter, WebSocket
from pydantic import Field, ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from ser.params.section import Section
from ser.params.serving import StreamParams
from ser.serve.interfaces.channel import SAMPLE_BYTES, Channel
from ser.serve.interfaces.problems import Problem
from ser.serve.interfaces.rest import MOST_CLIPS, count, enrolled, identity, opened_voice
from ser.serve.logs import event, log
from ser.serve.state import State
from ser.serve.workers.wire import Gone

LONGEST_FRAME_SECONDS = 10.0
#: Messages that a client has not read yet; beyond, partial results are left out, and beyond the
#: second number the session ends.
MANY_UNREAD, MOST_UNREAD = 50, 500
#: Seconds in which the last results of a session are made.
CLOSE_SECONDS = 20.0
SUBPROTOCOL = "ser.v1"


class Update(Section):
    """`session.update`, before the first frame.

    consent : of the person who is recorded; a page that opens a microphone must have it. channels :
    1, or 2 interleaved. profiles : of /v1/enrol, for each channel; null: unknown. clips : of the
    speaker, files as base64, instead.
    """

    type: str
    consent: bool | None = None
    channels: int = Field(1, ge=1, le=2)
    profiles: tuple[str | None, ...] = Field((), max_length=2)
    clips: tuple[str, ...] = Field((), max_length=MOST_CLIPS)


class Ended(Exception):
    """The session is over. reason : in `session.closed`; code : of the WebSocket."""

    def __init__(self, reason: str, code: int = 1000) -> None:
        super().__init__(reason)
        self.reason, self.code = reason, code


def stream_routes(state: State) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", ())
        with state.admission.stream() as room:
            if not room or not state.is_ready:
                await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
                state.metrics.rejects.labels("streams_full" if not room else "no_model").inc()
                await socket.close(1013, "full" if not room else "not ready")
                return
            await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
            await Session(state, socket).run()

    return router


class Session:
    """One client's session, from `session.created` to `session.closed`."""

    def __init__(self, state: State, socket: WebSocket) -> None:
        self.state, self.socket = state, socket
        self.id = socket.scope["state"]["request_id"]
        self.options = StreamParams()
        self.update: Update | None = None
        self.channels: list[Channel] = []
        self.totals: Counter[str] = Counter()
        self._out: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._sequence = 0
        #: Whether the last `session.update` was refused: what it asked for is not what would come.
        self._refused = False
        #: By channel: the id of the utterance that is open, or was last.
        self._utterances: dict[int, str] = {}

    async def run(self) -> None:
        writing = asyncio.create_task(self._write())
        self._say("session.created", session_id=self.id, defaults=self._defaults())
        ended = Ended("client_left", 1001)
        # Also where the server cancels it, its time to stop being over.
        try:
            try:
                await self._until_stop()
            except Ended as error:
                ended = error
            except WebSocketDisconnect:
                pass
            except Exception:
                log.exception("session_failed", extra={"fields": {"session_id": self.id}})
                ended = Ended("internal_error", 1011)
            if ended.reason != "client_left":
                await self._finish(ended, writing)
        finally:
            for channel in self.channels:
                channel.leave()
            writing.cancel()
            event("session", session_id=self.id, reason=ended.reason, **self.totals)

    def _defaults(self) -> dict[str, Any]:
        audio = {"encoding": "pcm_s16le", "channels": [1, 2], "frame_seconds": 0.1}
        served = self.state.served
        return {
            **audio,
            **self.options.model_dump(),
            "model": identity(served) if served else None,
            "emotions": list(served.classes) if served else [],
        }

    async def _read(self) -> None:
        idle_seconds = self.state.params.limits.idle_seconds
        while True:
            if self._out.qsize() > MOST_UNREAD:
                raise Ended("unread", 1008)
            try:
                async with asyncio.timeout(idle_seconds):
                    message = await self.socket.receive()
            except TimeoutError:
                raise Ended("idle", 1008) from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            if (data := message.get("bytes")) is not None:
                await self._frame(data)
            elif (text := message.get("text")) is not None:
                await self._text(text)

    async def _until_stop(self) -> None:
        """Read until the client, or the server, ends the session: raises what ended it."""
        reading = asyncio.create_task(self._read())
        stopping = asyncio.create_task(self.state.stop.wait())
        try:
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            stopping.cancel()
            reading.cancel()
        raise Ended("restarting", 1012)

    async def _text(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind = message["type"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self._error("bad_message", "A text message is a JSON object with `type`.")
            raise Ended("bad_message", 1003) from None
        if kind == "session.close":
            raise Ended("closed")
        if kind == "session.update":
            await self._updated(message)
        else:
            self._error("bad_message", f"{str(kind)[:40]!r} is no message of a client.")

    async def _updated(self, message: dict[str, Any]) -> None:
        self._refused = not self.channels
        if self.channels:
            self._error("too_late", "session.update comes before the first frame.")
            return
        try:
            update = Update.model_validate(message)
            profiles: list[str | None] = list(update.profiles)
            left_out: list[str] = []
            if update.clips and update.consent is False:
                raise Problem(
                    "consent_required", "Clips came without the person's consent: none is taken."
                )
            if update.clips:
                clips = [bytearray(base64.b64decode(c, validate=True)) for c in update.clips]
                with self.state.admission.upload() as upload, self.state.admission.request():
                    upload.add(sum(map(len, clips)))
                    sealed, _, left_out = await enrolled(self.state, clips, upload)
                profiles = [sealed]
            for profile in profiles:
                opened_voice(self.state, profile)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            self._error("bad_message", f"session.update: {key}: {first['msg']}.")
            return
        # Of base64: binascii's own error, and another one for what is not ASCII.
        except ValueError:
            self._error("bad_message", "session.update: clips are files as base64.")
            return
        except Problem as error:
            self._error(error.code, error.message)
            return
        self._refused = False
        self.update = update.model_copy(update={"profiles": tuple(profiles)})
        self._say(
            "session.updated",
            channels=update.channels,
            enrolled=[bool(profile) for profile in profiles],
            profiles=profiles,
            left_out=left_out,
        )

    async def _frame(self, data: bytes) -> None:
        if self._refused:
            self._error("bad_message", "session.update was refused: send one that fits first.")
            raise Ended("bad_message", 1008)
        update = self.update or Update(type="session.update")
        if update.consent is False:
            self._error(
                "consent_required", "The person recorded has not agreed: no audio is taken."
            )
            raise Ended("consent_required", 1008)
        width = SAMPLE_BYTES * update.channels
        longest = LONGEST_FRAME_SECONDS * self.options.sr * width
        if not data or len(data) % width or len(data) > longest:
            self.state.metrics.rejects.labels("invalid_audio_frame").inc()
            self._error(
                "invalid_audio_frame",
                f"A frame has {len(data)} bytes; expected a multiple of {width}, at most "
                f"{longest:.0f}.",
            )
            return
        if not self.channels:
            self._open(update)
        samples = np.frombuffer(data, "<i2").reshape(-1, len(self.channels))
        try:
            for channel, own in zip(self.channels, samples.T, strict=True):
                await channel.send(own.tobytes())
        except Gone:
            raise Ended("no_model", 1013) from None

    def _open(self, update: Update) -> None:
        voices = [*update.profiles, *(None for _ in range(update.channels))]
        for place in range(update.channels):
            channel = Channel(self.state, f"{self.id}.{place}", self.options, self._came)
            try:
                channel.voice = opened_voice(self.state, voices[place])
                channel.made_for = self.state.served.bundle_sha256 if self.state.served else ""
                channel.open()
            except (Gone, Problem):
                raise Ended("no_model", 1013) from None
            self.channels.append(channel)

    def _came(self, channel: Channel, events: list[dict[str, Any]]) -> None:
        place = channel.key.rpartition(".")[2]
        for one in events:
            match one["type"]:
                case "measurement.result":
                    self._measured(channel, int(place), one)
                case "lost":
                    event("stream_lost", 40, session_id=self.id, error=one["error"])
                    self._error("utterance_lost", "A worker ended; a new utterance begins.")
                case "profile.expired":
                    self._error("profile_refused", "Another model serves now: enrol again.")
                case kind:
                    if kind == "utterance.start":
                        # As a request has one: a correction is kept, and deleted, by it.
                        self._utterances[int(place)] = self.state.ids.new()
                    fields = {k: one[k] for k in one if k != "type"}
                    utterance = self._utterances.get(int(place))
                    self._say(kind, channel=int(place), utterance_id=utterance, **fields)

    def _measured(self, channel: Channel, place: int, one: dict[str, Any]) -> None:
        prediction, state = one["prediction"], self.state
        final = one["trigger"] == "speech_ended"
        self.totals["dropped_ms"] += one["dropped_ms"]
        state.metrics.dropped.inc(one["dropped_ms"] / 1000)
        if not final and self._out.qsize() > MANY_UNREAD:
            self.totals["unread"] += 1
            return
        self.totals["finals" if final else "partials"] += 1
        seconds = channel.seconds_since(one["stop_sample"])
        state.metrics.hops.observe(seconds)
        label = prediction["emotion"] if final else one["label"]
        if final:
            count(state, "stream", label, prediction["abstention"])
            if "row" in one:
                state.log_row(one["row"], seconds=seconds)
        self._say(
            "measurement.result",
            channel=place,
            utterance_id=self._utterances.get(place),
            trigger=one["trigger"],
            audio_start_ms=one["audio_start_ms"],
            audio_end_ms=one["audio_end_ms"],
            start_sample=one["start_sample"],
            stop_sample=one["stop_sample"],
            label=label,
            posteriors={"raw": prediction["posteriors"], "smoothed": one["smoothed"]},
            confidence=prediction["confidence"],
            candidates=prediction["candidates"],
            abstention=prediction["abstention"],
            novelty=prediction.get("novelty"),
            enrolled_clips=prediction["enrolled_clips"],
            voiced_ms=one["voiced_ms"],
            model_version=channel.version,
            dropped_ms=one["dropped_ms"],
            server_ms=round(1000 * seconds, 1),
        )

    def _error(self, code: str, message: str) -> None:
        self._say("error", code=code, message=message)

    def _say(self, kind: str, **fields: Any) -> None:
        self._out.put_nowait({"type": kind, "seq": self._sequence, **fields})
        self._sequence += 1

    async def _write(self) -> None:
        while (message := await self._out.get()) is not None:
            await self.socket.send_text(json.dumps(message))

    async def _finish(self, ended: Ended, writing: asyncio.Task[None]) -> None:
        """Ask for the last results, send all there is, and close."""
        for channel in self.channels:
            channel.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for channel in self.channels:
                    await channel.closed.wait()
        sent = max((channel.sent for channel in self.channels), default=0)
        self.totals["audio_ms"] = round(1000 * sent / self.options.sr)
        self._say("session.closed", reason=ended.reason, totals=dict(self.totals))
        self._out.put_nowait(None)
        # A client that is gone by now is told nothing.
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            await asyncio.wait_for(writing, CLOSE_SECONDS)
            if self.socket.application_state is not WebSocketState.DISCONNECTED:
                await self.socket.close(ended.code, ended.reason)
