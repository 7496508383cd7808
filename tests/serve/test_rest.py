"""REST: the answer is the Predictor's, and everything else is a typed refusal."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from ser.bundle import load_bundle
from ser.core.utterance.emotions import EMOTIONS
from ser.io.audio.read import load_mono
from ser.io.storage.traffic_files import read_traffic
from ser.predictor import Predictor
from support.serving import Server, serving, stop


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor(load_bundle(trained.root / "models/bundle"))


def as_format(path: Path, form: str, **options: str) -> bytes:
    y, sr = soundfile.read(path)
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format=form, **options)
    return buffer.getvalue()


def upload(server: Server, data: bytes, **fields: str) -> httpx.Response:
    with server.client() as client:
        return client.post("/v1/predict", files={"file": ("x", data)}, data=fields)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_an_answer_is_the_predictors_whatever_the_container(server, predictor, recordings, form):
    data = as_format(recordings[0], form)
    y, sr = load_mono(data)
    expected = predictor.predict(y, sr=sr)
    answer = upload(server, data).raise_for_status().json()
    assert answer["label"] == expected.emotion
    assert answer["posteriors"] == pytest.approx(expected.posteriors, abs=1e-6)
    assert answer["candidates"] == list(expected.candidates)
    assert answer["novelty"] == pytest.approx(expected.novelty)
    assert answer["audio"] == {"seconds": round(y.size / sr, 3), "sr": sr}


def test_the_recording_alone_is_answered_like_a_form(server, recordings):
    data = recordings[1].read_bytes()
    with server.client() as client:
        raw = client.post("/v1/predict", content=data, headers={"content-type": "audio/wav"})
    form = upload(server, data)
    varying = ("ms", "request_id")
    assert {k: v for k, v in raw.json().items() if k not in varying} == {
        k: v for k, v in form.json().items() if k not in varying
    }


def test_silence_is_an_abstention_with_its_reason(server):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(32_000), 16_000, format="WAV")
    answer = upload(server, buffer.getvalue()).raise_for_status().json()
    assert answer["label"] is None
    assert answer["abstention"]["reason"] == "no_speech"
    assert answer["posteriors"] == {}


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty_audio"),
        (b"what is this?", 422, "corrupt_audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", 422, "corrupt_audio"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 422, "corrupt_audio"),
        (b"#EXTM3U\nhttp://localhost/x.ts\n", 422, "corrupt_audio"),
    ],
)
def test_what_is_no_recording_is_refused_by_a_code(server, data, status, code):
    answer = upload(server, data)
    assert answer.status_code == status
    body = answer.json()
    assert body["code"] == code
    assert set(body) == {"type", "code", "message", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]


def test_errors_of_the_framework_have_the_same_form(server):
    with server.client() as client:
        answers = {
            404: client.get("/v1/nothing"),
            405: client.get("/v1/predict"),
            415: client.post("/v1/predict", json={"file": "x"}),
            400: client.post("/v1/predict", files={"other": b"x"}),
        }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert set(answer.json()) == {"type", "code", "message", "request_id"}


def test_an_upload_beyond_the_limit_is_refused_while_it_is_sent(trained, tmp_path):
    limits = {"max_megabytes": 1.0}
    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as server:
        sent = 0

        def endless():
            nonlocal sent
            while sent < 2**31:
                sent += 2**16
                yield b"\0" * 2**16

        headers = {"content-type": "audio/wav"}
        with server.client() as client:
            stated = client.post("/v1/predict", content=b"\0" * (2**20 + 1), headers=headers)
            assert stated.status_code == 413
            try:
                status = client.post("/v1/predict", content=endless(), headers=headers).status_code
            except httpx.TransportError:
                # The connection is closed before the client reads why.
                status = 413
        assert status == 413
        # What the kernel buffers on both sides comes on top of what the server read.
        assert sent < 16 * 2**20
        assert list(tmp_path.rglob("*.wav")) == []
        with server.client() as client:
            assert client.get("/health/ready").status_code == 200


def test_host_origin_and_token_are_checked(trained, tmp_path, recordings):
    data = recordings[0].read_bytes()
    with serving(trained.root / "models/bundle", tmp_path, token="secret") as server:
        with server.client() as client:
            ok = client.post("/v1/predict", files={"file": data})
            assert ok.status_code == 200
            own = client.post(
                "/v1/predict", files={"file": data}, headers={"origin": server.address}
            )
            assert own.status_code == 200
            foreign = client.post(
                "/v1/predict", files={"file": data}, headers={"origin": "https://evil.example"}
            )
            assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden_origin")
            broken = client.post(
                "/v1/predict", files={"file": data}, headers={"origin": "http://["}
            )
            assert (broken.status_code, broken.json()["code"]) == (403, "forbidden_origin")
            rebound = client.get("/v1/model", headers={"host": "evil.example"})
            assert (rebound.status_code, rebound.json()["code"]) == (400, "invalid_host")
        for sent in ({}, {"authorization": "Bearer wrong"}):
            answer = httpx.get(f"{server.address}/v1/model", headers=sent, trust_env=False)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/health/live", "/health/ready"):
            assert httpx.get(server.address + path, trust_env=False).status_code == 200
        assert "secret" not in server.log + server.errors


def test_slow_clients_are_closed_and_others_answered(trained, tmp_path, recordings):
    limits = {"header_seconds": 1.0, "body_seconds": 1.0}
    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as server:
        host, port = server.host_port.split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(20)]
        half = []
        for _ in range(20):
            one = socket.create_connection((host, int(port)))
            one.sendall(
                f"POST /v1/predict HTTP/1.1\r\nHost: {server.host_port}\r\n"
                "Content-Type: audio/wav\r\nContent-Length: 90000\r\n\r\nRIFF".encode()
            )
            half.append(one)
        assert upload(server, recordings[0].read_bytes()).status_code == 200
        for one in (*silent, *half):
            one.settimeout(10)
            received = b""
            while chunk := one.recv(65_536):
                received += chunk
            assert received == b"" or b" 408 " in received
            one.close()


def test_a_recording_that_kills_or_stalls_its_decoder_is_refused(trained, tmp_path, recordings):
    limits = {"decode_seconds": 1.0}
    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as server:
        flac = as_format(recordings[0], "FLAC")
        decoders = processes(server, "decode")
        for pid in decoders:
            os.kill(pid, signal.SIGSTOP)
        answer = upload(server, flac)
        assert (answer.status_code, answer.json()["code"]) == (422, "corrupt_audio")
        answer = upload(server, flac)
        assert answer.status_code in (200, 422)
        deadline = time.monotonic() + 10
        while upload(server, flac).status_code != 200:
            assert time.monotonic() < deadline


def test_a_worker_that_dies_costs_no_request(trained, tmp_path, recordings):
    with serving(trained.root / "models/bundle", tmp_path, workers=1) as server:
        data = recordings[0].read_bytes()
        assert upload(server, data).status_code == 200
        (worker,) = processes(server, "infer")
        os.kill(worker, 9)
        assert upload(server, data).status_code == 200
        assert processes(server, "infer") != [worker]


def test_a_worker_that_hangs_is_replaced(trained, tmp_path, recordings):
    limits = {"answer_seconds": 3.0}
    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as server:
        data = recordings[0].read_bytes()
        (worker,) = processes(server, "infer")
        os.kill(worker, signal.SIGSTOP)
        assert upload(server, data).status_code == 200
        assert processes(server, "infer") != [worker]


def test_more_than_it_can_do_is_refused_at_once(trained, tmp_path, recordings):
    data = recordings[0].read_bytes()
    limits = {"max_requests": 1}
    with serving(trained.root / "models/bundle", tmp_path, limits=limits) as server:
        (worker,) = processes(server, "infer")
        os.kill(worker, signal.SIGSTOP)
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(upload, server, data)
            time.sleep(0.5)
            refused = [upload(server, data) for _ in range(3)]
            os.kill(worker, signal.SIGCONT)
            assert waiting.result().status_code == 200
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert upload(server, data).status_code == 200
        with server.client() as client:
            assert 'ser_rejects_total{reason="overloaded"} 3.0' in client.get("/metrics").text


def processes(server: Server, kind: str) -> list[int]:
    """Worker processes of a server, by what their threads are called."""
    import psutil

    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child.pid for child in children if child.name() == f"ser-{kind}"]


def test_it_is_not_ready_before_it_stops_and_ends_by_itself(trained, tmp_path, recordings):
    with serving(trained.root / "models/bundle", tmp_path) as server:
        with server.client() as client:
            assert client.get("/health/ready").json()["status"] == "ready"
            server.process.terminate()
            deadline = time.monotonic() + 5
            while client.get("/health/ready").status_code == 200:
                assert time.monotonic() < deadline
            assert client.get("/health/ready").json()["status"] == "stopping"
            assert client.get("/health/live").status_code == 200
        assert stop(server.process) in (0, -15)
        assert "Traceback" not in server.log + server.errors


def test_the_card_says_what_it_is_for_and_what_not(server):
    with server.client() as client:
        card = client.get("/v1/model").raise_for_status().json()
    assert set(card["emotions"]) <= set(EMOTIONS)
    assert any("Article 5(1)(f)" in line for line in card["prohibited_use"])
    assert any("not what a person feels" in line for line in card["limits"])
    assert card["scores"]["chance"] == pytest.approx(1 / len(card["emotions"]), abs=1e-4)


def test_only_what_was_answered_is_corrected_and_only_recordings_are_kept(server, recordings):
    data = recordings[0].read_bytes()
    answer = upload(server, data).json()
    good = {"request_id": answer["request_id"], "label": answer["label"], "consent": "true"}
    with server.client() as client:
        for fields, file, code in (
            ({**good, "request_id": "f" * 32}, data, "invalid_parameters"),
            ({**good, "request_id": "../../x"}, data, "invalid_parameters"),
            ({**good, "label": "sorrow"}, data, "invalid_parameters"),
            ({**good, "predicted": "sorrow"}, data, "invalid_parameters"),
            ({**good, "consent": "no"}, data, "consent_required"),
            (good, b"hello", "corrupt_audio"),
        ):
            refused = client.post("/v1/corrections", data=fields, files={"file": file})
            assert refused.json()["code"] == code
        assert not server.inbox.exists() or not (server.inbox / answer["request_id"]).exists()
        kept = client.post("/v1/corrections", data=good, files={"file": data}).json()
        assert kept["stored"] == ["label", "audio"]
        assert (server.inbox / answer["request_id"] / "recording").read_bytes() == data
        where = f"/v1/corrections/{answer['request_id']}"
        assert client.delete(where).json() == {"deleted": True}
        assert client.delete(where).json()["code"] == "not_found"


def test_metrics_count_what_was_answered_and_refused(server, recordings):
    upload(server, recordings[0].read_bytes())
    upload(server, b"nothing")
    with server.client() as client:
        text = client.get("/metrics").raise_for_status().text
    assert 'ser_stage_seconds_count{stage="total"}' in text
    assert 'ser_rejects_total{reason="corrupt_audio"}' in text
    assert 'ser_requests_total{route="/v1/predict",status="200"}' in text


def test_each_answer_is_a_row_of_the_traffic_log(trained, tmp_path, recordings):
    with serving(trained.root / "models/bundle", tmp_path) as server:
        answer = upload(server, recordings[0].read_bytes()).json()
    rows = read_traffic(tmp_path / "data/traffic")
    (row,) = rows.to_dict("records")
    assert (row["source"], row["interface"], row["emotion"]) == ("server", "rest", answer["label"])
    assert row["duration_seconds"] == pytest.approx(answer["audio"]["seconds"], abs=1e-3)
    assert row["latency_ms"] > 0
    assert json.loads(server.log.splitlines()[0])["event"] == "model"
