"""/v1/stream: what a session says, and that its finals are REST's answers."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from contextlib import suppress
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ser.core.utterance.waveform import resample
from ser.io.audio.read import load_mono
from support.serving import Server, serving

SR = 16_000
CLOSE = json.dumps({"type": "session.close"})


@pytest.fixture(scope="module")
def speech(recordings) -> np.ndarray:
    """Three utterances with pauses of a second: int16 (n_samples,)."""
    parts = [np.zeros(SR // 2, np.float32)]
    for path in recordings[:9:3]:
        y, sr = load_mono(path)
        parts += [resample(y, sr_in=sr, sr_out=SR), np.zeros(SR, np.float32)]
    return (np.concatenate(parts) * 32_767).clip(-32_768, 32_767).astype("<i2")


def session(
    server: Server,
    *frames: bytes | str,
    update: dict[str, Any] | None = None,
    pause: float = 0.0,
    end: bool = True,
) -> tuple[list[dict[str, Any]], int | None]:
    """All messages of a session that sends these frames, and the code that it was closed with."""

    async def run() -> tuple[list[dict[str, Any]], int | None]:
        messages: list[dict[str, Any]] = []
        async with connect(server.stream_url, compression=None, proxy=None) as socket:
            if update is not None:
                await socket.send(json.dumps({"type": "session.update", **update}))

            async def send() -> None:
                for frame in frames:
                    await socket.send(frame)
                    await asyncio.sleep(pause)
                if end:
                    await socket.send(CLOSE)

            sending = asyncio.create_task(send())
            with suppress(ConnectionClosed):
                async for text in socket:
                    messages.append(json.loads(text))
            sending.cancel()
            return messages, socket.close_code

    async def bounded() -> tuple[list[dict[str, Any]], int | None]:
        async with asyncio.timeout(60):
            return await run()

    return asyncio.run(bounded())


def frames_of(samples: np.ndarray, *, size: int = 1_600) -> list[bytes]:
    return [samples[i : i + size].tobytes() for i in range(0, len(samples), size)]


def finals(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m for m in messages if m.get("trigger") == "speech_ended"]


def as_wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SR, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def test_a_final_is_rests_answer_on_the_same_samples(server, speech):
    messages, code = session(server, *frames_of(speech), update={"consent": True}, pause=0.01)
    assert code == 1000
    found = finals(messages)
    assert len(found) == 3
    with server.client() as client:
        for final in found:
            data = as_wav(speech[final["start_sample"] : final["stop_sample"]])
            rest = client.post("/v1/predict", files={"file": data}).json()
            assert final["label"] == rest["label"]
            assert final["posteriors"]["raw"] == pytest.approx(rest["posteriors"], abs=1e-4)
            assert final["candidates"] == rest["candidates"]
            assert (final["abstention"] or {}).get("reason") == (rest["abstention"] or {}).get(
                "reason"
            )


def test_a_session_speaks_in_the_order_of_the_protocol(server, speech):
    messages, _ = session(server, *frames_of(speech), update={"consent": True})
    kinds = [message["type"] for message in messages]
    assert kinds[:2] == ["session.created", "session.updated"]
    assert kinds[-1] == "session.closed"
    assert kinds[2] == "utterance.start"
    assert [m["seq"] for m in messages] == list(range(len(messages)))
    ids = [m["utterance_id"] for m in messages if m["type"] == "utterance.start"]
    assert len(set(ids)) == 3
    for final, own in zip(finals(messages), ids, strict=True):
        end = messages[messages.index(final) + 1]
        assert end["type"] == "utterance.end"
        assert final["utterance_id"] == end["utterance_id"] == own
    totals = messages[-1]["totals"]
    assert totals["audio_ms"] == round(1000 * len(speech) / SR)
    assert totals["finals"] == 3


def test_a_channel_is_a_party_of_its_own(server, speech):
    other = np.roll(speech, SR)
    both = np.stack([speech, other], axis=1)
    sent = frames_of(both, size=800)
    messages, _ = session(server, *sent, update={"consent": True, "channels": 2}, pause=0.01)
    alone, _ = session(server, *frames_of(speech), update={"consent": True}, pause=0.01)
    mine = [m for m in finals(messages) if m["channel"] == 0]
    theirs = [m for m in finals(messages) if m["channel"] == 1]
    for one, same in zip(mine, finals(alone), strict=True):
        assert one["posteriors"]["raw"] == pytest.approx(same["posteriors"]["raw"], abs=1e-6)
    assert len(theirs) >= 2
    assert {m["start_sample"] for m in mine} != {m["start_sample"] for m in theirs}


@pytest.mark.parametrize(
    "frame", [b"", b"odd", b"\0" * (2 * 10 * SR + 2)], ids=["empty", "odd", "too long"]
)
def test_an_unfit_frame_is_an_error_and_the_session_goes_on(server, speech, frame):
    messages, code = session(server, frame, *frames_of(speech), update={"consent": True})
    errors = [m for m in messages if m["type"] == "error"]
    assert [m["code"] for m in errors] == ["invalid_audio_frame"]
    assert len(finals(messages)) == 3
    assert code == 1000


def test_without_consent_no_audio_is_taken(server, speech):
    messages, code = session(server, *frames_of(speech)[:3], update={"consent": False}, end=False)
    assert messages[-2]["code"] == "consent_required"
    assert code == 1008


@pytest.mark.parametrize("text", ["no json", "[1]", '{"kind": 1}', "[" * 5_000])
def test_text_that_is_no_message_ends_the_session(server, text):
    messages, code = session(server, text, end=False)
    assert code == 1003
    assert messages[-2]["code"] == "bad_message"


def test_an_update_that_does_not_fit_is_an_error_that_names_the_key(server):
    for update, named in (
        ({"channels": 3}, "channels"),
        ({"colour": "red"}, "colour"),
        ({"clips": ["!"]}, "clips"),
        ({"clips": ["é"]}, "clips"),
        ({"profiles": ["made up"]}, "profile"),
    ):
        messages, code = session(server, update=update)
        (error,) = [m for m in messages if m["type"] == "error"]
        assert named in error["message"]
        assert code == 1000
        # Audio is not taken as if nothing had been asked for.
        messages, code = session(server, bytes(3_200), update=update, end=False)
        assert code == 1008
        assert finals(messages) == []


def test_an_update_after_the_first_frame_is_too_late(server, speech):
    late = json.dumps({"type": "session.update", "channels": 2})
    messages, _ = session(server, speech[:1_600].tobytes(), late)
    assert [m["code"] for m in messages if m["type"] == "error"] == ["too_late"]


def test_a_session_that_sends_faster_than_real_time_loses_no_final(server, speech):
    long = np.tile(speech, 4)
    messages, code = session(server, *frames_of(long, size=SR), update={"consent": True})
    assert code == 1000
    assert len(finals(messages)) == 12
    assert messages[-1]["totals"]["audio_ms"] == round(1000 * len(long) / SR)


def test_silent_sessions_are_closed_and_too_many_refused(trained, tmp_path):
    limits = {"idle_seconds": 1.0, "max_streams": 2}

    async def run(server: Server) -> list[int | None]:
        async def wait(socket) -> int | None:
            with suppress(ConnectionClosed):
                async for _ in socket:
                    pass
            return socket.close_code

        sockets = [await connect(server.stream_url, proxy=None) for _ in range(3)]
        return sorted(await asyncio.gather(*map(wait, sockets)))

    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as server:
        began = time.monotonic()
        assert asyncio.run(run(server)) == [1008, 1008, 1013]
        assert time.monotonic() - began < 10


def test_a_worker_that_dies_costs_an_utterance_at_most(trained, tmp_path, speech):
    with serving(trained.root / "models/bundle", tmp_path) as server:
        parent = psutil.Process(server.process.pid)

        async def run() -> list[dict[str, Any]]:
            messages = []
            async with connect(server.stream_url, compression=None, proxy=None) as socket:

                async def read() -> None:
                    async for text in socket:
                        messages.append(json.loads(text))

                reading = asyncio.create_task(read())
                for number, frame in enumerate(frames_of(speech)):
                    if number == 12:
                        (worker,) = [
                            c for c in parent.children(recursive=True) if c.name() == "ser-infer"
                        ]
                        os.kill(worker.pid, 9)
                        await asyncio.sleep(5)
                    await socket.send(frame)
                    await asyncio.sleep(0.02)
                await socket.send(CLOSE)
                await reading
            return messages

        messages = asyncio.run(run())
    assert "utterance_lost" in [m.get("code") for m in messages]
    assert len(finals(messages)) >= 2
    assert messages[-1]["type"] == "session.closed"


def test_a_server_that_stops_gives_the_final_and_says_that_it_restarts(trained, tmp_path, speech):
    with serving(trained.root / "models/bundle", tmp_path) as server:

        async def run() -> tuple[list[dict[str, Any]], int | None]:
            messages = []
            async with connect(server.stream_url, compression=None, proxy=None) as socket:
                # In the middle of an utterance.
                for frame in frames_of(speech[: 2 * SR]):
                    await socket.send(frame)
                while True:
                    messages.append(json.loads(await socket.recv()))
                    if messages[-1]["type"] == "utterance.start":
                        break
                # It is busy for longer than it takes the server to leave.
                (worker,) = [
                    child
                    for child in psutil.Process(server.process.pid).children(recursive=True)
                    if child.name() == "ser-infer"
                ]
                worker.suspend()
                server.process.terminate()
                await asyncio.sleep(2.5)
                worker.resume()
                with suppress(ConnectionClosed):
                    async for text in socket:
                        messages.append(json.loads(text))
                return messages, socket.close_code

        messages, code = asyncio.run(run())
    assert code == 1012
    assert finals(messages)
    assert messages[-1]["reason"] == "restarting"


def test_a_foreign_page_and_a_wrong_token_get_no_session(trained, tmp_path):
    async def status(**options: Any) -> int:
        try:
            async with connect(server.stream_url, proxy=None, **options):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    with serving(trained.root / "models/bundle", tmp_path, token="secret") as server:
        assert asyncio.run(status()) == 403
        assert asyncio.run(status(subprotocols=["ser.v1", "ser.bearer.secret"])) == 101
        assert asyncio.run(status(additional_headers={"authorization": "Bearer secret"})) == 101
        foreign = {"authorization": "Bearer secret"}
        assert asyncio.run(status(additional_headers=foreign, origin="https://evil.example")) == 403
