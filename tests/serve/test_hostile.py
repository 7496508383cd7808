"""Whatever is sent: an answer or a typed error, and a server that goes on."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from support.hostile import hostile_files
from support.serving import Server, serving


@pytest.fixture(scope="module")
def own_server(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with serving(trained.root / "models/bundle", folder) as server:
        yield server


def resident(server: Server) -> float:
    """Memory of the server and its processes, in MiB."""
    server_process = psutil.Process(server.process.pid)
    processes = [server_process, *server_process.children(recursive=True)]
    return sum(process.memory_info().rss for process in processes) / 2**20


def test_hostile_recordings_get_an_answer_or_a_typed_error(own_server, recordings):
    files = hostile_files()
    assert len(files) >= 300
    good = recordings[0].read_bytes()
    seconds: list[float] = []
    with own_server.client() as client:
        for _ in range(20):
            client.post("/v1/predict", files={"file": good})
        before = resident(own_server)
        codes = set()
        for name, data in files.items():
            began = time.perf_counter()
            answer = client.post("/v1/predict", files={"file": data})
            seconds.append(time.perf_counter() - began)
            assert answer.status_code in (200, 415, 422), f"{name}: {answer.text}"
            if answer.status_code != 200:
                assert set(answer.json()) == {"type", "code", "message", "request_id"}, name
                codes.add(answer.json()["code"])
        assert client.post("/v1/predict", files={"file": good}).status_code == 200
        grown = resident(own_server) - before
    assert {"corrupt_audio", "empty_audio", "refused_audio", "too_long_audio"} <= codes
    assert "worker_died" not in own_server.log
    assert grown < 150
    assert sorted(seconds)[int(0.99 * len(seconds))] < 5


#: docs/serving.md has the command for ten thousand. These are what a change usually breaks.
CASES = 30
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
)


def test_whatever_the_schema_allows_is_answered_as_it_says(own_server: Server, tmp_path):
    command = [sys.executable, "-m", "schemathesis.cli", "run", "--no-color"]
    command += [f"{own_server.address}/openapi.json", "--checks", ",".join(CHECKS)]
    command += ["--max-examples", str(CASES), "--phases", "fuzzing,coverage", "--seed", "7"]
    # A timeline starts a process of its own, which takes seconds on a loaded machine.
    command += ["--request-timeout", "60"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout[-4000:]
    generated = re.search(r"(\d[\d,]*) generated", ended.stdout)
    assert generated, ended.stdout[-2000:]
    assert int(generated[1].replace(",", "")) > 100


def test_one_body_is_never_held_by_another(own_server: Server):
    """Two requests on one connection, the first of them refused early."""
    with httpx.Client(base_url=own_server.address, trust_env=False) as client:
        first = client.post("/v1/predict", content=b"{}", headers={"content-type": "text/plain"})
        second = client.get("/health/live")
    assert (first.status_code, second.status_code) == (415, 200)
