"""`ser doctor`: what is wrong is found and has a remedy; what is right is no alarm."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows.servers import doctor as in_project
from ser.doctor import data, environment, machine, stores
from ser.doctor.findings import Finding, findings
from ser.doctor.looks import OF_A_PROJECT, OF_THE_MACHINE
from ser.errors import SerError
from ser.io.tracking.store import prepare_store
from support.project import Project


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def project(checkout: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return checkout.copied_to(tmp_path_factory.mktemp("doctor"))


def states(found: Iterator[Finding]) -> dict[str, str]:
    return {one.what: one.state for one in found}


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(tmp_path):
    def foreseen(root: Path) -> Iterator[Finding]:
        raise SerError("The disk is gone. Plug it in.")

    def unforeseen(root: Path) -> Iterator[Finding]:
        raise ZeroDivisionError("division")

    def well(root: Path) -> Iterator[Finding]:
        yield Finding("C", "ok", "fine")

    first, second, third = findings([("A", foreseen), ("B", unforeseen), ("C", well)], tmp_path)
    assert first == Finding("A", "bad", "The disk is gone", "Plug it in.")
    assert (second.what, second.state) == ("B", "bad")
    assert "ZeroDivisionError" in second.found
    assert third.state == "ok"


def test_debug_shows_where_a_check_failed(tmp_path, monkeypatch):
    def unforeseen(root: Path) -> Iterator[Finding]:
        raise ZeroDivisionError("division")

    monkeypatch.setenv("SER_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        list(findings([("B", unforeseen)], tmp_path))


def test_nothing_stands_in_the_way_in_a_new_checkout(project):
    bad = [one for one in findings(OF_A_PROJECT, project.root) if one.state == "bad"]
    assert bad == []


def test_the_machine_alone_needs_no_project(tmp_path):
    assert "bad" not in states(findings(OF_THE_MACHINE, tmp_path)).values()


def test_packages_that_are_missing_or_others_than_the_locks_are_named(tmp_path):
    lock = ["numpy==0.1", "no-such-package==1.0", "pywin32==312 ; sys_platform == 'nowhere'"]
    (tmp_path / "requirements.lock").write_text("\n".join(lock))
    missing, differing = environment.pins(tmp_path)
    assert (missing.state, differing.state) == ("bad", "warn")
    assert "no-such-package" in missing.found
    assert "numpy" in differing.found
    assert "pywin32" not in missing.found + differing.found
    assert "make setup" in missing.remedy


def test_another_environment_than_the_projects_is_noticed(tmp_path):
    (tmp_path / ".venv").mkdir()
    (found,) = environment.python(tmp_path)
    assert found.state == "warn"
    assert ".venv" in found.remedy


def test_little_room_on_the_disk_is_told_before_it_is_full(tmp_path, monkeypatch):
    for free, state in ((0.5, "bad"), (3.0, "warn"), (50.0, "ok")):
        usage = shutil.disk_usage(tmp_path)._replace(free=int(free * machine.GIGABYTE))
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        assert {one.state for one in machine.disk(tmp_path)} == {state}


def test_a_folder_for_temporary_files_that_is_not_there_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    (found,) = machine.writable(tmp_path)
    assert found.state == "bad"
    assert "TMPDIR" in found.remedy


def test_a_misspelt_parameter_is_found(project, tmp_path):
    copy = project.copied_to(tmp_path)
    path = copy.root / "params.yaml"
    path.write_text(path.read_text().replace("seed:", "sead:", 1))
    found = {one.what: one for one in findings([("params.yaml", data.params)], copy.root)}
    assert found["params.yaml"].state == "bad"
    assert "sead" in found["params.yaml"].found


def test_a_corpus_that_is_named_and_not_there_is_found(project, tmp_path):
    copy = project.copied_to(tmp_path)
    copy.set(data__corpora=["ravdess"])
    found = list(findings([("Corpora", data.params)], copy.root))
    assert found[-1].state == "bad"
    assert "ravdess" in found[-1].found + found[-1].remedy


def test_a_remote_that_is_not_mounted_is_found(project, tmp_path):
    copy = project.copied_to(tmp_path)
    done = copy.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "gone"))
    assert done.returncode == 0, done.stderr
    (found,) = data.dvc(copy.root)
    assert (found.what, found.state) == ("DVC", "bad")
    (tmp_path / "gone").mkdir()
    (found,) = data.dvc(copy.root)
    assert found.state == "ok"


def test_a_damaged_store_is_found_and_no_store_is_made(tmp_path):
    (found,) = stores.mlflow(tmp_path)
    assert found.state == "ok"
    assert not (tmp_path / "mlruns").exists()
    prepare_store(tmp_path)
    assert states(stores.mlflow(tmp_path)) == {"MLflow": "ok"}
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"garbage" * 1000)
    (found,) = findings([("MLflow", stores.mlflow)], tmp_path)
    assert found.state == "bad"
    assert found.remedy


def test_a_server_that_does_not_answer_is_found(tmp_path, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
        (found,) = stores.mlflow(tmp_path)
        assert found.state == "bad"
        assert "secret" not in found.found
        probe.listen()
        (found,) = stores.mlflow(tmp_path)
        assert found.state == "ok"


def test_who_holds_a_port_is_named(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(in_project, "PORTS", {"MLflow": taken.getsockname()[1]})
        (found,) = in_project.servers(tmp_path)
        assert found.state == "warn"
        assert psutil.Process().name() in found.found
    (found,) = in_project.servers(tmp_path)
    assert found.state == "ok"


def test_the_command_ends_with_1_where_something_is_in_the_way(project, tmp_path):
    copy = project.copied_to(tmp_path)
    done = copy.run("ser.cli", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout)
    assert facts["project"] == str(copy.root.resolve())
    assert {"Python", "DVC", "MLflow", "Locks"} <= {one["what"] for one in facts["findings"]}
    (copy.root / ".dvc" / "config").unlink()
    done = copy.run("ser.cli", "doctor")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "dvc init" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
