"""Runs in a real SQLite store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser.errors import RegistryError
from ser.io import lineage, mlflow_store, tracking

START = """
import sys, time
from pathlib import Path
from ser.io import tracking
with tracking.start_run(Path(sys.argv[1]), name="child", params={}) as run:
    print(run.run_id, flush=True)
    if len(sys.argv) > 2:
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    mlflow_store.prepare_store(root)
    return root


def stored(root: Path, run_id: str):
    return mlflow_store.connect(root).get_run(run_id)


def child(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process with a run, which it prints; with an argument, it stays in it."""
    command = [sys.executable, "-c", START, str(root), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def child_in_a_run(root: Path) -> tuple[subprocess.Popen[str], str]:
    process = child(root, "stay")
    with process.stdout:
        return process, process.stdout.readline().strip()


def test_a_run_holds_parameters_curves_scores_and_its_lineage(root: Path) -> None:
    (root / "dvc.lock").write_text("stages: {}\n")
    params = {"seed": 7, "model": {"name": "svc", "svc": {"c": 1.5}}, "corpora": ("a", "b")}

    with tracking.start_run(root, name="svc", params=params, tags={"model": "svc"}) as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"train_loss": 1 / (epoch + 1), "dev_uar": epoch / 10})
        run.log_metrics({"test/uar": 0.5})
        run.log_dataset(name="synthetic", digest="0" * 32 + ".dir", source="data/features")

    found = stored(root, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "seed": "7",
        "model.name": "svc",
        "model.svc.c": "1.5",
        "corpora": '["a", "b"]',
    }
    assert found.data.metrics == {"train/loss": 1 / 3, "dev/uar": 0.2, "test/uar": 0.5}
    curve = mlflow_store.connect(root).get_metric_history(run.run_id, "dev/uar")
    assert [(point.step, point.value) for point in curve] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert found.data.tags["dvc.lock.sha256"] == lineage.lock_sha256(root)
    assert found.data.tags["model"] == "svc"
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("synthetic", "0" * 32 + ".dir")


def test_more_parameters_than_a_batch_takes_are_logged(root: Path) -> None:
    with tracking.start_run(root, name="many", params={f"p{i}": i for i in range(250)}) as run:
        pass

    assert len(stored(root, run.run_id).data.params) == 250


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_a_run_that_breaks_off_is_ended(
    root: Path, error: type[BaseException], status: str
) -> None:
    with (
        pytest.raises(error),
        tracking.start_run(root, name="broken", params={}) as run,
    ):
        raise error

    assert stored(root, run.run_id).info.status == status


def test_sigterm_ends_the_run(root: Path) -> None:
    process, run_id = child_in_a_run(root)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 128 + signal.SIGTERM
    assert stored(root, run_id).info.status == "KILLED"


def test_the_next_run_ends_one_that_was_killed(root: Path) -> None:
    process, run_id = child_in_a_run(root)
    process.kill()
    process.wait()
    assert stored(root, run_id).info.status == "RUNNING"

    with tracking.start_run(root, name="next", params={}) as run:
        pass

    assert stored(root, run_id).info.status == "KILLED"
    assert stored(root, run.run_id).info.status == "FINISHED"


def test_a_run_that_lives_is_left_alone(root: Path) -> None:
    with tracking.start_run(root, name="alive", params={}) as run:
        assert run.run_id not in tracking.end_orphans(root)


def test_an_ended_run_takes_more_scores_and_stays_ended(root: Path, tmp_path: Path) -> None:
    with tracking.start_run(root, name="train", params={}) as run:
        pass
    report = tmp_path / "metrics.json"
    report.write_text("{}")

    resumed = tracking.resume_run(root, run.run_id)
    resumed.log_metrics({"test_uar": 0.7})
    resumed.log_artifact(report, "reports")

    found = stored(root, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"test/uar": 0.7}
    assert tracking.fetch_artifact(root, run.run_id, "reports/metrics.json").read_text() == "{}"


def test_a_missing_artifact_is_one_of_our_errors(root: Path) -> None:
    with tracking.start_run(root, name="bare", params={}) as run:
        pass

    with pytest.raises(RegistryError, match=r"reports/none\.json"):
        tracking.fetch_artifact(root, run.run_id, "reports/none.json")


def test_a_deleted_or_unknown_run_does_not_exist(root: Path) -> None:
    with tracking.start_run(root, name="gone", params={}) as run:
        pass
    assert tracking.run_exists(root, run.run_id)

    mlflow_store.connect(root).delete_run(run.run_id)

    assert not tracking.run_exists(root, run.run_id)
    assert not tracking.run_exists(root, "0" * 32)


def test_dvc_experiments_are_tagged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "tall-oak")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")

    tags = lineage.lineage_tags(root)

    assert (tags["dvc.exp.name"], tags["dvc.exp.baseline"]) == ("tall-oak", "abc")


def test_git_revision_says_when_the_code_is_dirty(tmp_path: Path) -> None:
    assert lineage.git_revision(tmp_path) == {}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    (tmp_path / "code.py").write_text("1")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    assert lineage.git_revision(tmp_path)["git.dirty"] == "false"

    (tmp_path / "code.py").write_text("2")

    assert lineage.git_revision(tmp_path)["git.dirty"] == "true"


def test_processes_that_race_for_a_fresh_store_all_get_a_run(tmp_path: Path) -> None:
    children = [child(tmp_path) for _ in range(3)]

    printed = [process.communicate(timeout=120)[0] for process in children]

    assert [process.returncode for process in children] == [0, 0, 0], printed
    experiment = mlflow_store.prepare_store(tmp_path)
    assert len(mlflow_store.connect(tmp_path).search_runs([experiment])) == 3


def test_a_kill_amid_the_creation_leaves_no_broken_store(tmp_path: Path) -> None:
    process = child(tmp_path)
    unfinished = tmp_path / "mlruns" / "mlflow.new"
    deadline = time.monotonic() + 60
    while not unfinished.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert unfinished.exists(), "the kill came too late to test anything"

    assert mlflow_store.prepare_store(tmp_path)


def test_the_project_keeps_its_own_store_unless_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert mlflow_store.tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    assert mlflow_store.tracking_uri(tmp_path) == "http://127.0.0.1:9"
    with pytest.raises(RegistryError, match=r"No MLflow server answers at http://127\.0\.0\.1:9"):
        mlflow_store.prepare_store(tmp_path)


def test_the_default_store_is_lent_only_for_the_while(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with mlflow_store.as_default_store(root):
        assert os.environ["MLFLOW_TRACKING_URI"] == mlflow_store.tracking_uri(root)

    assert "MLFLOW_TRACKING_URI" not in os.environ
