"""One world: user interfaces, scheduler and stores agree on where they are.

What `make up` starts is tested in test_schedule.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.processes import note, server
from flows.processes.note import NOTE, Note
from flows.processes.server import free_port, mlflow_ui, prefect_server, running_server
from ser.errors import StageError

ROOT = Path(__file__).parents[3]


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


def ours(prefect_api: str = "") -> Note:
    """The note of a supervisor that runs: this process."""
    started = note.start_of(os.getpid())
    return Note(prefect_api=prefect_api, pid=os.getpid(), started=started, ready=True)


def up(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.servers.up", *arguments],
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
    done = up(tmp_path, "--no-worker", PREFECT_API_URL=f"{stub}/api", MLFLOW_TRACKING_URI=stub)

    assert done.returncode == 0, done.stderr
    assert f"MLflow   {stub}\n" in done.stdout
    assert f"Prefect  {stub}\n" in done.stdout
    assert "nothing to start" in done.stdout
    assert not (tmp_path / NOTE).exists()


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_a_named_server_that_is_away_is_one_line(tmp_path: Path, name: str) -> None:
    done = up(tmp_path, **{name: "http://127.0.0.1:9"})

    assert done.returncode == 1
    assert not note.running(tmp_path)
    (line,) = done.stderr.splitlines()
    assert "http://127.0.0.1:9" in line
    assert name in line


def test_links_lead_to_the_tracking_server_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org:8443/base/")

    assert mlflow_ui(tmp_path) == "https://mlflow.example.org:8443/base"


def test_links_lead_to_the_port_that_make_up_serves_or_served_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mlflow_ui(tmp_path) == "http://127.0.0.1:5000"
    note.write(tmp_path, Note("http://127.0.0.1:5007"))
    note.ended(tmp_path)
    assert mlflow_ui(tmp_path) == "http://127.0.0.1:5007"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere.db")
    assert mlflow_ui(tmp_path) == "http://127.0.0.1:5007"


def test_a_flow_takes_the_server_of_the_environment_then_that_of_make_up(
    tmp_path: Path, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running_server(tmp_path) is None
    note.write(tmp_path, ours(f"{stub}/api"))
    assert running_server(tmp_path) == f"{stub}/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.org/api")
    assert running_server(tmp_path) == "http://prefect.example.org/api"


def test_a_server_at_the_address_of_the_last_time_is_another_project_s(
    tmp_path: Path, stub: str
) -> None:
    note.write(tmp_path, ours(f"{stub}/api"))
    note.ended(tmp_path)

    assert running_server(tmp_path) is None


def test_a_process_with_the_number_of_one_before_the_reboot_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    note.write(tmp_path, ours())
    assert note.running(tmp_path)
    note.write(tmp_path, replace(ours(), started=note.start_of(os.getpid()) + 60))
    assert note.running(tmp_path) is None


def test_down_where_nothing_runs_says_so(tmp_path: Path) -> None:
    note.write(tmp_path, replace(ours(), started=1e9))
    done = subprocess.run(
        [sys.executable, "-m", "flows.servers.down"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (0, "Nothing runs here.\n"), done.stderr


def test_a_named_server_that_is_away_is_an_error_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    with pytest.raises(StageError, match=r"127\.0\.0\.1:9/api.*unset PREFECT_API_URL"):
        prefect_server(tmp_path).wait()


def test_a_port_in_use_gives_the_next_one(stub: str) -> None:
    taken = int(stub.rpartition(":")[2])

    assert free_port(taken) in range(taken + 1, taken + server.NEARBY)
