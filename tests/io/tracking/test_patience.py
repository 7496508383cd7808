"""An MLflow server that goes away is waited for, and what it was asked for is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from flows.processes.server import answers, free_port
from ser.errors import ParamsError, RegistryError
from ser.io.tracking import patience, runs, store
from ser.io.tracking.registry import registration
from ser.io.tracking.registry.versions import MODEL
from ser.io.web.quiet import QUIET

VARIABLES = (patience.VARIABLE, patience.ANSWERED, patience.RETRIES, "MLFLOW_HTTP_REQUEST_TIMEOUT")


class Server:
    """`mlflow server` on a store of its own, which can be killed, and hang."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        options = (
            *("--host=127.0.0.1", f"--port={self.port}", "--workers=1"),
            f"--backend-store-uri=sqlite:///{self.folder}/mlruns/mlflow.db",
            f"--artifacts-destination={self.folder}/artifacts",
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options],
            env={**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not answers(self.url):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()

    def back_after(self, seconds: float, *, hangs: bool) -> threading.Timer:
        """Go away now, and come back by itself."""
        self.signal(signal.SIGSTOP if hangs else signal.SIGKILL)
        back = (lambda: self.signal(signal.SIGCONT)) if hangs else self.start
        timer = threading.Timer(seconds, back)
        timer.start()
        return timer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    # Faster than by the server.
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    store.prepare_store(folder)
    found = Server(folder)
    yield found
    found.signal(signal.SIGKILL)


@pytest.fixture
def root(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        # Set first, so that what the code sets is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 1.0)
    return tmp_path


def steps_of(root: Path, run_id: str) -> list[int]:
    points = store.connect(root).get_metric_history(run_id, "epoch/loss")
    return sorted(point.step for point in points)


def test_training_goes_on_while_the_server_is_away_and_each_epoch_is_recorded_once(
    root: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    patience.be_patient()
    with runs.start_run(root, name="away", params={}) as run:
        run.log_epoch(1, {"loss": 0.9})
        timer = server.back_after(2, hangs=False)
        began = time.monotonic()
        for epoch in range(2, 8):
            run.log_epoch(epoch, {"loss": 1 / epoch})
        assert time.monotonic() - began < 1
    timer.join()

    assert steps_of(root, run.run_id) == list(range(1, 8))
    assert store.connect(root).get_run(run.run_id).info.status == "FINISHED"
    printed = capsys.readouterr().out
    assert printed.count(f"waits for the MLflow server {server.url}, at most 30 min\n") == 1
    assert printed.count("the MLflow server answers again, after ") == 1


def test_what_was_made_although_the_answer_was_lost_is_not_made_again(
    root: Path, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that hangs takes requests, and works on them once it goes on."""
    patience.be_patient()
    experiment = store.prepare_store(root)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    client = store.connect(root)

    timer = server.back_after(4, hangs=True)
    run_id = runs._create(root, experiment, "hangs", {})
    timer.join()
    named = client.search_runs([experiment], "attributes.run_name = 'hangs'")
    assert [run.info.run_id for run in named] == [run_id]

    registration._create_model(root, client)
    logged = client.create_logged_model(experiment, name=MODEL, source_run_id=run_id)
    timer = server.back_after(4, hangs=True)
    made = registration._create_version(root, client, logged.model_id, run_id, {"a": "b"})
    timer.join()
    found = client.search_model_versions(f"name = '{MODEL}'")
    assert [version.version for version in found] == [made.version]


def test_a_training_that_goes_on_records_only_the_epochs_that_are_missing(
    root: Path, server: Server
) -> None:
    patience.be_patient()
    with suppress(ZeroDivisionError), runs.start_run(root, name="cut", params={}) as run:
        run.log_epoch(1, {"loss": 0.9})
        run.log_epoch(2, {"loss": 0.8})
        while steps_of(root, run.run_id) != [1, 2]:
            time.sleep(0.05)
        raise ZeroDivisionError
    with runs.start_run(root, name=None, params={}, run_id=run.run_id) as again:
        for epoch in (1, 2, 3):
            again.log_epoch(epoch, {"loss": 1 - epoch / 10})

    assert steps_of(root, run.run_id) == [1, 2, 3]
    assert store.connect(root).get_run(run.run_id).info.status == "FINISHED"


def test_patience_has_an_end_which_is_an_error_that_names_the_server(
    root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.VARIABLE, "2")
    patience.be_patient()
    client = store.connect(root)
    server.signal(signal.SIGKILL)
    try:
        began = time.monotonic()
        with pytest.raises(RegistryError, match="start it, then try again"):
            client.search_experiments()
        assert 1 < time.monotonic() - began < 10
    finally:
        server.start()


@pytest.mark.parametrize("patient", [False, True])
def test_nobody_waits_for_a_server_that_never_answered(
    root: Path, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    if patient:
        patience.be_patient()
    began = time.monotonic()
    with pytest.raises(RegistryError, match="No MLflow server answers"):
        store.prepare_store(root)
    assert time.monotonic() - began < 5


def test_a_request_that_the_server_refuses_is_not_repeated(root: Path) -> None:
    patience.be_patient()
    client = store.connect(root)
    began = time.monotonic()
    with pytest.raises(Exception, match="INVALID_PARAMETER_VALUE"):
        client.search_runs(["0"], "no filter at all")
    assert time.monotonic() - began < 1


def test_a_patience_that_is_no_number_of_seconds_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.VARIABLE, "long")
    patience.note_answer(root)

    def fail() -> None:
        raise ConnectionRefusedError

    with pytest.raises(ParamsError, match="'long'"):
        patience.patiently(root, fail)
