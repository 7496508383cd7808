"""A new champion takes over under load; whatever goes wrong, the last good model goes on."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from websockets.asyncio.client import connect

from ser.io.tracking import store
from ser.io.tracking.registry import versions
from support.registry import promote, register_versions, tamper
from support.serving import Server, serving

POLL = {"poll_seconds": 0.2}


@pytest.fixture
def project(trained, tmp_path) -> Path:
    """Three versions, the first of them champion."""
    register_versions(tmp_path, trained.root / "models/bundle", range(1, 4))
    promote(tmp_path, 1)
    return tmp_path


@contextmanager
def load(server: Server, data: bytes) -> Iterator[Counter[tuple[int, int | None]]]:
    """Requests without a pause, counted by (status, version) until the block ends."""
    seen: Counter[tuple[int, int | None]] = Counter()
    over = threading.Event()

    def ask() -> None:
        with server.client() as client:
            while not over.is_set():
                answer = client.post("/v1/predict", files={"file": data})
                version = answer.json()["model"]["version"] if answer.is_success else None
                seen[answer.status_code, version] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def until_serves(server: Server, version: int) -> None:
    deadline = time.monotonic() + 60
    with server.client() as client:
        while client.get("/health/ready").json()["model"]["version"] != version:
            assert time.monotonic() < deadline, server.log[-2000:]
            time.sleep(0.05)


def test_a_new_champion_takes_over_without_a_failed_request(project, recordings):
    data = recordings[0].read_bytes()
    with serving(None, project, **POLL) as server, load(server, data) as seen:
        until_serves(server, 1)
        for version in (2, 3, 1):
            promote(project, version)
            until_serves(server, version)
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {1, 2, 3}


def test_a_live_session_goes_on_with_the_new_champion_after_its_utterance(project, recordings):
    y, _ = soundfile.read(recordings[0], dtype="int16")
    utterance = [y[i : i + 1_600].tobytes() for i in range(0, y.size, 1_600)]
    silence = [bytes(3_200)] * 12

    async def run(server: Server) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        async with connect(server.stream_url, compression=None, proxy=None) as socket:

            async def read() -> None:
                async for text in socket:
                    messages.append(json.loads(text))

            async def send(frames: list[bytes]) -> None:
                for frame in frames:
                    await socket.send(frame)
                    await asyncio.sleep(0.02)

            reading = asyncio.create_task(read())
            await send(silence + utterance[: len(utterance) // 2])
            while not any(m["type"] == "utterance.start" for m in messages):
                await asyncio.sleep(0.05)
            # In the middle of an utterance.
            await asyncio.to_thread(promote, project, 2)
            await asyncio.to_thread(until_serves, server, 2)
            await send(utterance[len(utterance) // 2 :] + silence)
            await send(utterance + silence)
            await socket.send('{"type": "session.close"}')
            await reading
        return messages

    with serving(None, project, **POLL) as server:
        until_serves(server, 1)
        messages = asyncio.run(asyncio.wait_for(run(server), 60))
        with server.client() as client:
            assert "ser_streams 0.0" in client.get("/metrics").text
    finals = [m for m in messages if m.get("trigger") == "speech_ended"]
    assert [final["model_version"] for final in finals] == [1, 2]
    assert not [m for m in messages if m["type"] == "error"]


def test_a_damaged_champion_changes_nothing_but_an_alert(project, recordings):
    with serving(None, project, **POLL) as server, load(server, recordings[0].read_bytes()) as seen:
        until_serves(server, 1)
        tamper(project, 2)
        # By hand: the gate would refuse it.
        store.connect(project).set_registered_model_alias(versions.MODEL, versions.CHAMPION, "2")
        deadline = time.monotonic() + 30
        with server.client() as client:
            while 'ser_swaps_total{outcome="failed"}' not in client.get("/metrics").text:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert client.get("/health/ready").json()["model"]["version"] == 1
        assert "not what was registered" in server.log
        promote(project, 3)
        until_serves(server, 3)
    assert set(seen) == {(200, 1), (200, 3)}


def test_a_registry_that_fails_does_not_stop_what_serves(project, recordings):
    database = project / "mlruns/mlflow.db"
    with serving(None, project, **POLL) as server:
        until_serves(server, 1)
        # In its place: connections that are open go on reading a file that is renamed.
        content = database.read_bytes()
        database.write_bytes(b"no database" * 1_000)
        deadline = time.monotonic() + 30
        with server.client() as client:
            while "ser_registry_up 0.0" not in client.get("/metrics").text:
                assert time.monotonic() < deadline, server.log[-2000:]
                time.sleep(0.1)
            data = {"file": recordings[0].read_bytes()}
            assert client.post("/v1/predict", files=data).json()["model"]["version"] == 1
            database.write_bytes(content)
            promote(project, 2)
            until_serves(server, 2)


def test_without_a_champion_it_waits_and_says_so(trained, tmp_path):
    register_versions(tmp_path, trained.root / "models/bundle", range(1, 2))
    assert versions.champion(tmp_path) is None
    with serving(None, tmp_path, ready=False, **POLL) as server:
        with server.client() as client:
            answer = client.get("/health/ready")
            assert (answer.status_code, answer.json()["status"]) == (503, "waiting")
            # Where the registry is, is nobody's business.
            assert answer.json()["detail"] == "No version is promoted yet."
            assert "No champion yet in sqlite:" in server.errors
            refused = client.post("/v1/predict", files={"file": b"x"})
            assert (refused.status_code, refused.json()["code"]) == (503, "no_model")
        promote(tmp_path, 1)
        until_serves_first(server)


def until_serves_first(server: Server) -> None:
    deadline = time.monotonic() + 60
    with server.client() as client:
        while client.get("/health/ready").status_code != 200:
            assert time.monotonic() < deadline, server.log[-2000:]
            time.sleep(0.05)
