"""The client of `ser serve`, against a server of its own and against one that misbehaves."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.sync.server import serve

from ser.bundle import load_bundle
from ser.client import (
    AsyncClient,
    Client,
    ClientError,
    Closed,
    Measurement,
    Problem,
    UtteranceEnded,
    UtteranceStarted,
)
from ser.client.calls import LONGEST_PAUSE, Settings, pause_seconds
from ser.errors import SerError
from ser.predictor import Predictor
from support.serving import Server, serving

SR = 16_000
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def server(trained, tmp_path_factory) -> Iterator[Server]:
    with serving(trained.root / "models/bundle", tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def strict(trained, tmp_path_factory) -> Iterator[Server]:
    """A server with a token that works on one request at a time."""
    folder = tmp_path_factory.mktemp("strict")
    limits = {"max_requests": 1, "max_streams": 1}
    with serving(trained.root / "models/bundle", folder, token="secret", limits=limits) as running:
        yield running


@pytest.fixture
def client(server) -> Iterator[Client]:
    with Client(server.address) as own:
        yield own


@pytest.fixture(scope="module")
def predictor(trained) -> Predictor:
    return Predictor(load_bundle(trained.root / "models/bundle"))


@pytest.fixture(scope="module")
def clips(trained) -> list[Path]:
    return sorted((trained.root / "data/raw/synthetic").rglob("*.wav"))


@pytest.fixture(scope="module")
def talk(clips) -> np.ndarray:
    """Three sentences with pauses, int16 at 16 kHz."""
    pause = np.zeros(SR, np.int16)
    spoken = [soundfile.read(clip, dtype="int16") for clip in clips[:3]]
    assert {sr for _, sr in spoken} == {SR}
    return np.concatenate([part for y, _ in spoken for part in (y, pause)])


def finals(events):
    return [e for e in events if isinstance(e, Measurement) and e.is_final]


def assert_same(some, others):
    assert [(f.start_sample, f.stop_sample, f.label) for f in some] == [
        (f.start_sample, f.stop_sample, f.label) for f in others
    ]
    for one, other in zip(some, others, strict=True):
        assert one.posteriors == pytest.approx(other.posteriors, abs=1e-6)


def test_the_client_is_light():
    heavy = ["torch", "librosa", "pandas", "sklearn", "mlflow", "scipy", "fastapi", "pydantic"]
    code = (
        "import sys, time; began = time.process_time(); import ser.client; "
        f"print(time.process_time() - began, [m for m in {heavy} if m in sys.modules])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, imported = zip(*(run.stdout.split(" ", 1) for run in runs), strict=True)
    assert {one.strip() for one in imported} == {"[]"}
    # Of the processor: others may keep it.
    assert min(map(float, seconds)) < 0.5


def test_every_form_of_a_recording_gets_the_answer_of_the_predictor(client, clips, predictor):
    y, sr = soundfile.read(clips[0], dtype="float32")
    integers, _ = soundfile.read(clips[0], dtype="int16")
    expected = predictor.predict(y, sr=sr)
    with open(clips[0], "rb") as file:
        forms = [str(clips[0]), clips[0], clips[0].read_bytes(), file, (y, sr), (integers, sr)]
        answers = [client.predict(form) for form in forms]
    for answer in answers:
        assert answer.label == expected.emotion
        assert answer.posteriors == pytest.approx(expected.posteriors, abs=1e-6)
        assert answer.candidates == expected.candidates
        assert answer.seconds == pytest.approx(len(y) / sr, abs=0.01)
        assert answer.ms["total"] > 0
    assert len({answer.request_id for answer in answers}) == len(forms)
    assert answers[0].model.bundle_sha256 == client.model()["model"]["bundle_sha256"]


def test_an_abstention_has_its_reason_instead_of_a_label(client):
    answer = client.predict((np.zeros(SR, np.int16), SR))
    assert answer.label is answer.confidence is None
    assert answer.abstention.reason == "no_speech"
    assert answer.abstention.detail
    assert answer.candidates == ()


def test_an_error_of_the_server_keeps_its_code_words_and_request(client):
    with pytest.raises(ClientError) as raised:
        client.predict(b"this is no audio at all")
    error = raised.value
    assert isinstance(error, SerError)
    assert (error.code, error.status) == ("corrupt_audio", 422)
    assert error.message.startswith("The recording starts with")
    assert len(error.request_id) == 32
    assert error.request_id in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda client: client.enrol([b"x"]), "no_enrolment"),
        (lambda client: client.predict((np.zeros(SR), SR), profile="x"), "profile_refused"),
        (lambda client: client.correct("0" * 32, "anger", consent=False), "consent_required"),
        (lambda client: client.correct("0" * 32, "sorrow", consent=True), "invalid_parameters"),
        (lambda client: client.delete_correction("0" * 32), "invalid_parameters"),
        (lambda client: client.delete_correction("../../x"), "bad_input"),
        (lambda client: client.predict("/no/such.wav"), "bad_input"),
        (lambda client: client.predict((np.zeros((2, 2, 2)), SR)), "bad_input"),
        (lambda client: client.stream([], consent=True, channels=3), "bad_input"),
        (lambda client: next(client.stream([], consent=True, profiles=["x"])), "profile_refused"),
    ],
)
def test_what_cannot_be_done_has_a_code(client, call, code):
    with pytest.raises(ClientError) as raised:
        call(client)
    assert raised.value.code == code


def test_a_timeline_comes_with_its_progress_and_the_files_name(client, clips, tmp_path, server):
    path = tmp_path / "Ärger im Zug.wav"
    path.write_bytes(Path(clips[0]).read_bytes())
    told: list[tuple[float, float | None]] = []
    found = client.timeline(path, channels="each", on_progress=lambda *at: told.append(at))
    assert (found["schema"], found["file"]) == ("ser.timeline/1", path.name)
    assert found["channels"][0]["turns"]
    assert all(0 <= seconds <= found["seconds"] + 0.1 for seconds, _ in told)

    async def asked() -> dict[str, Any]:
        async with AsyncClient(server.address) as own:
            return await own.timeline(path.read_bytes())

    assert asyncio.run(asked())["channels"] == found["channels"]


def test_a_timeline_that_cannot_be_made_has_a_code(client, tmp_path):
    for recording, channels, code in (
        (b"what is this?", None, "corrupt_audio"),
        (b"", None, "empty_audio"),
        (b"x", "both", "bad_input"),
        (tmp_path / "nothing.wav", None, "bad_input"),
    ):
        with pytest.raises(ClientError) as raised:
            client.timeline(recording, channels=channels)
        assert raised.value.code == code


def test_a_correction_is_kept_until_it_is_deleted(client, server, clips):
    answer = client.predict(clips[0])
    folder = server.inbox / answer.request_id
    kept = client.correct(answer.request_id, "anger", consent=True, audio=clips[0])
    assert kept.stored == ("label", "audio")
    assert kept.delete_after_days > 0
    assert (folder / "recording").read_bytes() == clips[0].read_bytes()
    client.delete_correction(answer.request_id)
    assert not folder.exists()


def test_where_nobody_listens_every_call_says_so():
    with Client(NOBODY) as client:
        assert not client.ready()
        for call in (
            client.model,
            lambda: client.predict(b"x"),
            lambda: next(client.stream([], consent=True)),
        ):
            with pytest.raises(ClientError, match="cannot be reached") as raised:
                call()
            assert raised.value.code == "unreachable"
            assert raised.value.remedy
        with pytest.raises(ClientError, match="within 0 s") as raised:
            client.wait_until_ready(0)
        assert raised.value.code == "not_ready"


def test_ready_once_it_serves(client):
    client.wait_until_ready(1)
    assert client.ready()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a", "http://", "http://[::1"])
def test_what_is_no_address_is_said_at_once(url):
    with pytest.raises(ClientError, match=r"expected one such as http://127\.0\.0\.1:8000"):
        Client(url)


def test_address_and_token_come_from_the_environment(strict, clips, monkeypatch):
    monkeypatch.setenv("SER_SERVE_URL", strict.address + "/")
    with Client() as client, pytest.raises(ClientError) as raised:
        client.predict(clips[0])
    assert (raised.value.code, raised.value.status) == ("unauthorized", 401)
    with Client() as client, pytest.raises(ClientError) as raised:
        next(client.stream([], consent=True))
    assert raised.value.code == "unauthorized"
    monkeypatch.setenv("SER_SERVE_TOKEN", "secret")
    with Client() as client:
        assert client.predict(clips[0]).request_id
        assert isinstance(next(client.stream([], consent=True)), Closed)
        # Whoever prints the settings prints no token.
        assert "secret" not in repr(client.settings)


def test_an_overloaded_server_is_asked_again(strict, clips):
    def asked(retries):
        with Client(strict.address, "secret", retries=retries) as client:
            try:
                return client.predict(clips[0]).label
            except ClientError as error:
                return error.code

    with ThreadPoolExecutor(6) as pool:
        assert "overloaded" in set(pool.map(asked, [0] * 12))
        assert "overloaded" not in set(pool.map(asked, [20] * 12))


def test_a_full_server_is_asked_for_a_session_again(strict):
    with Client(strict.address, "secret", retries=0) as client:
        held = client.stream(endless(), consent=True)
        with held:
            with pytest.raises(ClientError) as raised:
                next(client.stream([], consent=True))
            assert raised.value.code == "overloaded"
            client_that_waits = Client(strict.address, "secret", retries=20)
            leaving = threading.Timer(0.5, held.close)
            leaving.start()
            with client_that_waits:
                assert isinstance(next(client_that_waits.stream([], consent=True)), Closed)
            leaving.join()


def test_pauses_follow_the_server_within_bounds():
    assert all(1 <= pause_seconds("1", tried) <= 1 + 4 for tried in range(1, 20))
    assert pause_seconds("86400", 1) <= LONGEST_PAUSE + 0.25
    assert 0 <= pause_seconds("tomorrow", 1) <= 0.25
    assert len({pause_seconds("1", 1) for _ in range(5)}) == 5


@pytest.mark.parametrize("size", [1600, 977, 48_000])
def test_a_stream_gives_what_the_predictor_gives_for_the_same_samples(
    client, talk, predictor, size
):
    chunks = (talk[i : i + size] for i in range(0, len(talk), size))
    with client.stream(chunks, consent=True) as live:
        assert len(live.session_id) == 32
        events = list(live)
    assert isinstance(events[0], UtteranceStarted)
    assert isinstance(events[-1], Closed)
    assert events[-1].reason == "closed"
    assert events[-1].totals["audio_ms"] == 1000 * len(talk) // SR
    assert sum(isinstance(e, UtteranceEnded) for e in events) == len(finals(events)) >= 3
    for final in finals(events):
        y = talk[final.start_sample : final.stop_sample].astype(np.float32) / 2**15
        expected = predictor.predict(y, sr=SR)
        assert final.label == expected.emotion
        assert final.posteriors == pytest.approx(expected.posteriors, abs=1e-6)
        assert final.server_ms > 0
    assert len({final.utterance_id for final in finals(events)} - {None}) == len(finals(events))


def test_bytes_floats_and_integers_are_the_same_audio(client, talk):
    odd = talk.tobytes()
    forms = [
        [talk],
        [talk.astype(np.float32) / 2**15],
        # Samples are cut in half.
        (odd[i : i + 3201] for i in range(0, len(odd), 3201)),
    ]
    first, *others = [finals(client.stream(form, consent=True)) for form in forms]
    assert first
    for other in others:
        assert_same(other, first)


def test_each_channel_of_a_call_is_a_stream_of_its_own(client, talk):
    other = np.roll(talk, SR // 2)
    call = np.stack([talk, other], axis=1)
    chunks = (call[i : i + 1600] for i in range(0, len(call), 1600))
    both = finals(client.stream(chunks, consent=True, channels=2))
    for channel, y in enumerate([talk, other]):
        alone = finals(client.stream([y], consent=True))
        own = [final for final in both if final.channel == channel]
        assert_same(own, alone)


def test_without_consent_no_audio_is_taken(client, talk):
    events = list(client.stream([talk], consent=False))
    assert [type(event) for event in events] == [Problem, Closed]
    assert events[0].code == events[1].reason == "consent_required"
    assert events[1].totals["audio_ms"] == 0


def test_what_goes_wrong_with_the_source_is_raised_where_events_are_read(client, talk):
    def broken():
        yield talk
        raise ValueError("the microphone is gone")

    with pytest.raises(ValueError, match="the microphone is gone"):
        list(client.stream(broken(), consent=True))
    for chunks in ([b"abc"], [np.zeros(5, np.int64)], [np.zeros((5, 2))], [np.array([np.nan])]):
        with pytest.raises(ClientError) as raised:
            list(client.stream(chunks, consent=True))
        assert raised.value.code == "bad_input"


def test_finish_asks_for_the_open_utterance_at_once(client, clips):
    y, _ = soundfile.read(clips[0], dtype="int16")
    with client.stream(endless(y), consent=True) as live:
        for event in live:
            if isinstance(event, Measurement):
                live.finish()
                break
        rest = list(live)
    assert finals(rest)
    assert isinstance(rest[-1], Closed)
    assert rest[-1].reason == "closed"


def test_who_leaves_early_leaves_no_session_behind(client, server, talk):
    with client.stream(endless(talk), consent=True) as live:
        assert isinstance(next(live), UtteranceStarted)
    assert list(live) == []
    deadline = time.monotonic() + 10
    with server.client() as http:
        while "ser_streams 0.0" not in (metrics := http.get("/metrics").text):
            assert time.monotonic() < deadline, [m for m in metrics.splitlines() if "stream" in m]
            time.sleep(0.05)


def test_the_asynchronous_client_answers_the_same(server, client, clips, talk):
    async def asked():
        async def chunks():
            for i in range(0, len(talk), 1600):
                yield talk[i : i + 1600]

        async with AsyncClient(server.address) as own:
            await own.wait_until_ready(1)
            answers = await asyncio.gather(*(own.predict(clip) for clip in clips[:3]))
            with pytest.raises(ClientError) as raised:
                await own.predict(b"no audio")
            async with own.stream(chunks(), consent=True) as live:
                assert len(live.session_id) == 32
                events = [event async for event in live]
            again = [event async for event in own.stream([talk], consent=True)]
            with pytest.raises(ClientError, match="ends with 1 bytes"):
                _ = [event async for event in own.stream([b"abc"], consent=True)]
            return answers, raised.value.code, events, again

    answers, code, events, again = asyncio.run(asked())
    for answer, clip in zip(answers, clips, strict=False):
        assert answer.posteriors == pytest.approx(client.predict(clip).posteriors, abs=1e-6)
    assert code == "corrupt_audio"
    expected = finals(client.stream([talk], consent=True))
    assert_same(finals(events), expected)
    assert_same(finals(again), expected)


def test_an_asynchronous_stream_can_be_left_and_finished(server, talk):
    async def asked():
        async def chunks():
            while True:
                yield talk[: SR // 2]
                await asyncio.sleep(0.2)

        async with AsyncClient(server.address) as own:
            async with own.stream(chunks(), consent=True) as left:
                await anext(left)
            async with own.stream(chunks(), consent=True) as live:
                await anext(live)
                await live.finish()
                return [event async for event in live][-1]

    assert asyncio.run(asked()).reason == "closed"


def test_asynchronous_calls_where_nobody_listens():
    async def asked():
        async with AsyncClient(NOBODY) as own:
            assert not await own.ready()
            for call in (own.model(), anext(own.stream([], consent=True))):
                with pytest.raises(ClientError) as raised:
                    await call
                assert raised.value.code == "unreachable"

    asyncio.run(asked())


def test_a_server_that_takes_no_audio_is_sent_no_more_than_buffers_hold():
    taken = 0

    def chunks():
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros(16_000, np.int16)

    def deaf(socket):
        greet(socket)
        finished.wait(20)

    finished = threading.Event()
    with peer(deaf) as url, Client(url) as client, client.stream(chunks(), consent=True):
        before = -1
        while before != taken:
            before = taken
            time.sleep(0.5)
        # Megabytes, of a source without end.
        assert taken < 1000
        finished.set()


def test_another_program_on_the_port_is_no_server():
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        with Client(f"http://127.0.0.1:{other.server_port}") as client:
            for call in (client.model, lambda: next(client.stream([], consent=True))):
                with pytest.raises(ClientError) as raised:
                    call()
                assert raised.value.code == "no_server"
        other.shutdown()


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        (lambda socket: socket.send("hello"), "no_server"),
        (lambda socket: socket.send('{"type": "welcome"}'), "no_server"),
        (lambda socket: socket.close(1008, "idle"), "idle"),
        (lambda socket: (greet(socket), socket.close(1011)), "disconnected"),
        (lambda socket: (greet(socket), socket.socket.close()), "disconnected"),
        (lambda socket: (greet(socket), socket.send('{"type": "error"}')), "no_server"),
    ],
)
def test_a_session_that_goes_wrong_is_one_error(behave, code):
    with peer(behave) as url, Client(url) as client, pytest.raises(ClientError) as raised:
        list(client.stream(endless(), consent=True))
    assert raised.value.code == code


def test_messages_of_a_later_server_are_passed_over():
    def later(socket):
        greet(socket)
        socket.send('{"type": "weather", "seq": 2}')
        socket.send('{"type": "session.closed", "seq": 3, "reason": "closed", "totals": {}}')

    with peer(later) as url, Client(url) as client:
        assert list(client.stream([], consent=True)) == [Closed("closed", {})]


def test_a_proxy_of_the_machine_is_not_asked_for_the_machine_itself():
    own = Settings.of("http://localhost:8000", None, timeout=1, retries=0)
    other = Settings.of("https://emotions.example/base/", None, timeout=1, retries=0)
    assert not own.takes_proxy
    assert other.takes_proxy
    assert other.stream_url == "wss://emotions.example/base/v1/stream"


def endless(y=None):
    """Chunks without end, at ten times the pace of speech."""
    y = np.zeros(1600, np.int16) if y is None else y
    while True:
        for i in range(0, len(y), 1600):
            time.sleep(0.01)
            yield y[i : i + 1600]


def greet(socket):
    socket.send(json.dumps({"type": "session.created", "seq": 0, "session_id": "a"}))
    socket.recv()
    socket.send('{"type": "session.updated", "seq": 1}')


@contextmanager
def peer(behave) -> Iterator[str]:
    """The address of a WebSocket server that does this with each connection."""
    with serve(behave, "127.0.0.1", 0, close_timeout=0.5) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
