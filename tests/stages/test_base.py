"""How a stage fails: what may pass is told from what stays by the exit status."""

from __future__ import annotations

import socket
import sqlite3
import urllib.error
from pathlib import Path

import filelock
import httpx
import pytest
import requests
from joblib.externals.loky.process_executor import TerminatedWorkerError

from ser.errors import ProcessKilled, RegistryError, StageError
from ser.stages import base

PASSING = [
    ConnectionRefusedError(),
    TimeoutError(),
    socket.gaierror(),
    urllib.error.URLError(ConnectionRefusedError()),
    requests.ConnectionError(),
    requests.ReadTimeout(),
    httpx.ConnectTimeout(""),
    filelock.Timeout("a lock"),
    TerminatedWorkerError(),
    ProcessKilled("was it killed?"),
    sqlite3.OperationalError("database is locked"),
]
STAYING = [
    KeyError("boredom"),
    OSError(28, "No space left on device"),
    MemoryError(),
    urllib.error.URLError("unknown url type"),
    sqlite3.OperationalError("no such table"),
    httpx.InvalidURL("no address"),
    StageError("it is wrong"),
]


@pytest.mark.parametrize(
    ("error", "passes"), [(e, True) for e in PASSING] + [(e, False) for e in STAYING], ids=repr
)
def test_only_what_comes_from_outside_may_pass(error: Exception, passes: bool) -> None:
    assert base.may_pass(error) is passes


@pytest.mark.parametrize(
    ("cause", "status"), [(ConnectionRefusedError(), 75), (ValueError(), 2), (None, 2)]
)
def test_an_error_for_the_user_ends_by_what_caused_it(
    cause: Exception | None,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stage(root: Path, params: object) -> None:
        raise RegistryError("No MLflow server answers.") from cause

    (tmp_path / "params.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stage"])

    with pytest.raises(SystemExit) as caught:
        base.run_stage(stage)

    assert caught.value.code == status
    assert capsys.readouterr().err == "error: No MLflow server answers.\n"


def test_a_full_disk_is_one_line_whatever_noticed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(root: Path, params: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    (tmp_path / "params.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stage"])

    with pytest.raises(SystemExit) as caught:
        base.run_stage(stage)

    assert caught.value.code == base.USER_ERROR
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("error: The disk is full (database or disk is full). Make room")


def test_a_killed_worker_may_pass_and_a_fault_of_ours_is_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stage(root: Path, params: object) -> None:
        raise error

    (tmp_path / "params.yaml").write_text("seed: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stage"])

    error: Exception = TerminatedWorkerError()
    with pytest.raises(SystemExit) as caught:
        base.run_stage(stage)
    assert caught.value.code == base.MAY_PASS

    error = KeyError("boredom")
    with pytest.raises(KeyError):
        base.run_stage(stage)
