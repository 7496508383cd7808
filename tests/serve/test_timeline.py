"""/v1/timeline: what `ser timeline` makes, of uploads, while others are answered."""

from __future__ import annotations

import io
import json
import threading
import time

import numpy as np
import psutil
import pytest
import soundfile

import ser
from ser.params.timeline import TimelineParams
from ser.serve.interfaces.problems import KINDS
from ser.serve.interfaces.timeline_schema import TimelineAnswer
from ser.timeline.document import document
from support.serving import Server, serving

SR = 16_000


def spoken(recordings, *, seconds: float, seed: int = 0) -> np.ndarray:
    """Sentences of the corpus with pauses between, about so long."""
    rng = np.random.default_rng(seed)
    parts, n = [], 0
    while n < seconds * SR:
        y, sr = soundfile.read(recordings[rng.integers(len(recordings))], dtype="float32")
        assert sr == SR
        parts += [y, np.zeros(round(rng.uniform(0.6, 1.5) * SR), np.float32)]
        n = sum(map(len, parts))
    return np.concatenate(parts)


def coded(y: np.ndarray, *, sr: int = SR, form: str = "FLAC") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format=form)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def short(recordings) -> bytes:
    return coded(spoken(recordings, seconds=12))


@pytest.fixture(scope="module")
def long(recordings) -> bytes:
    """Long enough to do something else meanwhile."""
    return coded(np.tile(spoken(recordings, seconds=15), 8))


def ask(server: Server, data: bytes, *, query: str = "", **headers: str):
    with server.client() as client:
        # Other tests share the cores.
        client.timeout = 300
        return client.post(f"/v1/timeline{query}", files={"file": data}, headers=headers)


def figures(timeline: dict) -> dict:
    return {**timeline, "file": "", "model": {**timeline["model"], "version": None}}


def close(found, expected) -> bool:
    """Alike up to one unit of the last digit that is written: rounding may go either way."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[k], expected[k]) for k in found)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    if isinstance(expected, float):
        return found == pytest.approx(expected, abs=1.01e-4)
    return found == expected


def test_it_answers_what_the_command_writes(server, trained, recordings, tmp_path):
    y = spoken(recordings, seconds=12)
    stereo = np.stack([y, np.roll(y, 4 * SR)], axis=1)
    model = ser.load(trained.root / "models/bundle")
    for samples, channels in ((y, "auto"), (stereo, "auto"), (stereo, "mix")):
        path = tmp_path / "recording.flac"
        path.write_bytes(coded(samples))
        expected = document(model.timeline(path, params=TimelineParams(channels=channels)))
        answer = ask(server, path.read_bytes(), query=f"?channels={channels}").raise_for_status()
        found = json.loads(json.dumps(expected))
        assert close(figures(answer.json()), figures(found))
        TimelineAnswer.model_validate(answer.json())
    assert [c["name"] for c in answer.json()["channels"]] == ["mix"]


def test_several_processes_make_the_same_timeline(server, trained, short, tmp_path):
    with serving(trained.root / "models/bundle", tmp_path, workers=2) as other:
        assert close(ask(other, short).json(), ask(server, short).json())


def test_the_recording_alone_is_taken_like_a_form(server, short):
    with server.client() as client:
        raw = client.post("/v1/timeline", content=short, headers={"content-type": "audio/flac"})
    assert close(raw.raise_for_status().json(), ask(server, short).json())


def test_silence_has_a_timeline_without_turns(server):
    (channel,) = ask(server, coded(np.zeros(5 * SR))).raise_for_status().json()["channels"]
    assert (channel["speech"], channel["turns"], channel["windows"]["start"]) == ([], [], [])
    assert channel["summary"]["share_by_emotion"] == {}


def test_progress_comes_in_lines_and_then_the_timeline(server, long):
    answer = ask(server, long, accept="application/x-ndjson").raise_for_status()
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["type"] for line in lines[:-1]] == ["progress"] * (len(lines) - 1)
    seconds = [line["seconds"] for line in lines[:-1]]
    assert seconds == sorted(seconds)
    timeline = lines[-1]["timeline"]
    assert lines[-2]["of"] == pytest.approx(timeline["seconds"], abs=0.01)
    assert timeline["schema"] == "ser.timeline/1"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_audio"),
        (b"what is this?" * 99, "corrupt_audio"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "corrupt_audio"),
    ],
)
def test_what_is_no_recording_is_refused_by_a_code(server, data, code):
    answer = ask(server, data)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    lines = ask(server, data, accept="application/x-ndjson").text.splitlines()
    error = json.loads(lines[-1])
    assert (error["type"], error["error"]["code"]) == ("error", code)
    assert error["status"] == KINDS[code][0]


def test_damage_in_the_middle_is_told_at_the_end(server, long):
    damaged = long[: len(long) // 2]
    answer = ask(server, damaged)
    assert (answer.status_code, answer.json()["code"]) == (422, "corrupt_audio")


def test_a_channel_that_nobody_knows_is_refused(server, short):
    answer = ask(server, short, query="?channels=both")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameters")


def test_limits_are_its_own(trained, tmp_path, short):
    limits = {"max_timeline_megabytes": 0.5, "max_timeline_seconds": 10.0, "max_timelines": 1}
    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as own:
        long = ask(own, short)
        assert (long.status_code, long.json()["code"]) == (422, "too_long_audio")
        assert "at most 10 s in one recording" in long.json()["message"]
        large = ask(own, bytes(2**20))
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
        # A prediction has others.
        with own.client() as client:
            assert client.post("/v1/predict", files={"file": short}).status_code == 200


def readers(server: Server) -> list[psutil.Process]:
    found = psutil.Process(server.process.pid).children(recursive=True)
    return [process for process in found if process.name() == "ser-read"]


def until(holds, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_that_leaves_ends_its_timeline(server, long):
    for accept in ("application/x-ndjson", "application/json"):
        with server.client() as client:
            asked = threading.Thread(
                target=lambda client=client, accept=accept: _ignoring(client, long, accept)
            )
            asked.start()
            until(lambda: readers(server))
        asked.join()
        until(lambda: not readers(server))
    assert ask(server, coded(np.zeros(SR))).status_code == 200


def _ignoring(client, data: bytes, accept: str) -> None:
    try:
        client.post("/v1/timeline", files={"file": data}, headers={"accept": accept})
    except Exception:
        return


def test_meanwhile_others_are_answered_and_one_too_many_is_refused(trained, tmp_path, long, short):
    found: list = []
    with serving(trained.root / "models/bundle", tmp_path, limits={"max_timelines": 1}) as own:
        making = threading.Thread(target=lambda: found.append(ask(own, long)))
        making.start()
        until(lambda: readers(own))
        refused = ask(own, short)
        assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
        assert "retry-after" in refused.headers
        clip = coded(np.sin(np.arange(SR)) * 0.1)
        with own.client() as client:
            for _ in range(3):
                client.post("/v1/predict", files={"file": clip}).raise_for_status()
            ready = client.get("/health/ready").status_code
        assert ready == 200
        # Predictions took their turns between its parts; it is not done yet.
        assert not found
        making.join()
    assert found[0].status_code == 200


def test_a_process_that_is_killed_amid_a_timeline_costs_nothing(trained, tmp_path, long, server):
    found: list = []
    with serving(trained.root / "models/bundle", tmp_path, workers=2) as own:
        making = threading.Thread(target=lambda: found.append(ask(own, long)))
        making.start()
        until(lambda: readers(own))
        children = psutil.Process(own.process.pid).children(recursive=True)
        next(one for one in children if one.name() == "ser-infer").kill()
        making.join()
    assert found[0].status_code == 200
    assert close(found[0].json(), ask(server, long).json())


def test_no_recording_stays(server, short):
    before = {path for path in server.folder.rglob("*") if path.is_file()}
    ask(server, short).raise_for_status()
    after = {path for path in server.folder.rglob("*") if path.is_file()}
    assert {path for path in after - before if "traffic" not in path.parts} == set()
