"""One world: user interfaces, scheduler and stores agree on where they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.processes import server
from flows.processes.server import UI_FILE, free_port, mlflow_ui, prefect_server, running_server
from ser.errors import StageError

ROOT = Path(__file__).parents[2]


class Stub(BaseHTTPRequestHandler):
    """Answers as MLflow's and Prefect's servers do when asked how they are."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"3.8.8"')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def ui(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.ui", *arguments],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_servers_that_the_environment_names_are_shown_and_none_is_started(
    tmp_path: Path, stub: str
) -> None:
    done = ui(tmp_path, PREFECT_API_URL=f"{stub}/api", MLFLOW_TRACKING_URI=stub)

    assert done.returncode == 0, done.stderr
    assert f"MLflow   {stub} " in done.stdout
    assert f"Prefect  {stub} " in done.stdout
    assert "nothing to start" in done.stdout
    assert not (tmp_path / UI_FILE).exists()


def test_a_prefect_server_that_runs_on_the_usual_port_is_taken(tmp_path: Path, stub: str) -> None:
    port = stub.rpartition(":")[2]

    done = ui(tmp_path, "--prefect-port", port, MLFLOW_TRACKING_URI=stub)

    assert f"Prefect  {stub} " in done.stdout
    assert "nothing to start" in done.stdout


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_a_named_server_that_is_away_is_one_line(tmp_path: Path, name: str) -> None:
    done = ui(tmp_path, **{name: "http://127.0.0.1:9"})

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "http://127.0.0.1:9" in line
    assert name in line


def test_links_lead_to_the_tracking_server_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org:8443/base/")

    assert mlflow_ui(tmp_path) == "https://mlflow.example.org:8443/base"


def test_links_lead_to_the_port_that_make_ui_serves_or_served_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mlflow_ui(tmp_path) == "http://127.0.0.1:5000"
    (tmp_path / UI_FILE).parent.mkdir()
    (tmp_path / UI_FILE).write_text(json.dumps({"mlflow": "http://127.0.0.1:5007"}))
    assert mlflow_ui(tmp_path) == "http://127.0.0.1:5007"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere.db")
    assert mlflow_ui(tmp_path) == "http://127.0.0.1:5007"


def test_the_worker_takes_the_server_of_the_environment_then_that_of_make_ui(
    tmp_path: Path, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running_server(tmp_path) is None
    (tmp_path / UI_FILE).parent.mkdir()
    (tmp_path / UI_FILE).write_text(json.dumps({"pid": 1, "prefect_api": f"{stub}/api"}))
    assert running_server(tmp_path) == f"{stub}/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.org/api")
    assert running_server(tmp_path) == "http://prefect.example.org/api"


def test_a_server_of_make_ui_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / UI_FILE).parent.mkdir()
    (tmp_path / UI_FILE).write_text(json.dumps({"prefect_api": "http://127.0.0.1:9/api"}))

    assert running_server(tmp_path) is None


def test_a_named_server_that_is_away_is_an_error_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    with pytest.raises(StageError, match=r"127\.0\.0\.1:9/api.*unset PREFECT_API_URL"):
        prefect_server(tmp_path).wait()


def test_a_port_in_use_gives_the_next_one(stub: str) -> None:
    taken = int(stub.rpartition(":")[2])

    assert free_port(taken) in range(taken + 1, taken + server.NEARBY)


def test_nothing_outlives_make_ui_that_was_killed(tmp_path: Path, stub: str) -> None:
    """The server's processes end with it, although they are in a session of their own."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "MLFLOW_TRACKING_URI": stub,
        "SER_TEST_MARK": str(tmp_path),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.ui", "--prefect-port", str(free_port())],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process.stdout:
        assert process.stdout.readline() == "Starting prefect …\n"
    assert len(marked(tmp_path)) > 1
    process.send_signal(signal.SIGKILL)
    process.wait()

    deadline = time.monotonic() + 60
    while marked(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not marked(tmp_path)


def marked(root: Path) -> list[str]:
    """Processes that `flows.ui` in `root` has started, itself included."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SER_TEST_MARK={root}".encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue
    return found
