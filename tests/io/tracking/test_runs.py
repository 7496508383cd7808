"""Runs in a real SQLite store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ser.errors import RegistryError
from ser.io.tracking import lineage, runs, store

START = """
import sys, time
from pathlib import Path
from ser.io.tracking import runs
with runs.start_run(Path(sys.argv[1]), name="child", params={}) as run:
    print(run.run_id, flush=True)
    if len(sys.argv) > 2:
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    store.prepare_store(root)
    return root


def stored(root: Path, run_id: str):
    return store.connect(root).get_run(run_id)


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

    with runs.start_run(root, name="svc", params=params, tags={"model": "svc"}) as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"train_loss": 1 / (epoch + 1), "dev_uar": epoch / 10})
        run.log_metrics({"test/uar": 0.5, "dev/uar": 0.9})
        run.log_dataset(name="synthetic", digest="0" * 32 + ".dir", source="data/features")

    found = stored(root, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "seed": "7",
        "model.name": "svc",
        "model.svc.c": "1.5",
        "corpora": '["a", "b"]',
    }
    # What MLflow shows of a metric is its value at the highest step.
    assert found.data.metrics == {
        "epoch/train_loss": 1 / 3,
        "epoch/dev_uar": 0.2,
        "dev/uar": 0.9,
        "test/uar": 0.5,
    }
    curve = store.connect(root).get_metric_history(run.run_id, "epoch/dev_uar")
    assert [(point.step, point.value) for point in curve] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    # The lock of this run is not written yet: the tag comes with the registration.
    assert "dvc.lock.sha256" not in found.data.tags
    assert found.data.tags["model"] == "svc"
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("synthetic", "0" * 32 + ".dir")


def test_more_parameters_than_a_batch_takes_are_logged(root: Path) -> None:
    with runs.start_run(root, name="many", params={f"p{i}": i for i in range(250)}) as run:
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
        runs.start_run(root, name="broken", params={}) as run,
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

    with runs.start_run(root, name="next", params={}) as run:
        pass

    assert stored(root, run_id).info.status == "KILLED"
    assert stored(root, run.run_id).info.status == "FINISHED"


def test_a_run_that_lives_is_left_alone(root: Path) -> None:
    with runs.start_run(root, name="alive", params={}) as run:
        runs.end_orphans(root)
        assert stored(root, run.run_id).info.status == "RUNNING"


def test_an_ended_run_takes_more_scores_and_stays_ended(root: Path, tmp_path: Path) -> None:
    with runs.start_run(root, name="train", params={}) as run:
        pass
    report = tmp_path / "metrics.json"
    report.write_text("{}")

    resumed = runs.resume_run(root, run.run_id)
    resumed.log_metrics({"test/uar": 0.7})
    resumed.log_artifact(report, "reports")

    found = stored(root, run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"test/uar": 0.7}
    assert runs.fetch_artifact(root, run.run_id, "reports/metrics.json").read_text() == "{}"


def test_a_stored_file_is_read_where_it_lies_and_no_copy_is_left(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, path = tmp_path / "temporary", tmp_path / "a.txt"
    temporary.mkdir()
    path.write_text("a")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with runs.start_run(root, name="x", params={}) as run:
        run.log_artifact(path, "reports")

    found = runs.fetch_artifact(root, run.run_id, "reports/a.txt")

    assert found.read_text() == "a"
    assert found.is_relative_to(root / "mlruns" / "artifacts")
    assert list(temporary.iterdir()) == []


def test_a_missing_artifact_is_one_of_our_errors(root: Path) -> None:
    with runs.start_run(root, name="bare", params={}) as run:
        pass

    with pytest.raises(RegistryError, match=r"reports/none\.json"):
        runs.fetch_artifact(root, run.run_id, "reports/none.json")


def test_a_deleted_or_unknown_run_does_not_exist(root: Path) -> None:
    with runs.start_run(root, name="gone", params={}) as run:
        pass
    assert runs.run_exists(root, run.run_id)

    store.connect(root).delete_run(run.run_id)

    assert not runs.run_exists(root, run.run_id)
    assert not runs.run_exists(root, "0" * 32)


def test_dvc_experiments_are_tagged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "tall-oak")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")

    tags = lineage.lineage_tags(root)

    assert (tags["dvc.exp.name"], tags["dvc.exp.baseline"]) == ("tall-oak", "abc")


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A project in a subfolder of a git repository, all of it committed."""
    root = tmp_path / "repository" / "project"
    for file in ("src/code.py", "params.yaml", "dvc.lock", "reports/metrics.json"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("1\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        git(root.parent, *arguments)
    return root


def git(root: Path, *arguments: str, feed: bytes = b"") -> None:
    command = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*command, *arguments], check=True, input=feed, capture_output=True)


def test_git_revision_says_when_the_code_is_dirty(committed: Path, tmp_path: Path) -> None:
    assert lineage.git_revision(tmp_path) == {}
    assert lineage.git_revision(committed)["git.dirty"] == "false"

    (committed / "src" / "code.py").write_text("2\n")

    assert lineage.git_revision(committed)["git.dirty"] == "true"


def test_what_the_pipeline_writes_and_a_stray_note_are_no_change_of_code(committed: Path) -> None:
    for file in ("dvc.lock", "reports/metrics.json", "reports/headline.json", "notes.txt"):
        (committed / file).write_text("2\n")

    assert lineage.git_revision(committed)["git.dirty"] == "false"
    assert lineage.git_diff(committed) == b""
    assert lineage.uncommitted(committed) == (
        "dvc.lock",
        "reports/metrics.json",
        "reports/headline.json",
    )


def test_the_diff_of_a_dirty_run_makes_its_code_from_the_commit(
    committed: Path, tmp_path: Path
) -> None:
    (committed / "src" / "code.py").write_text("2\n")
    (committed / "src" / "new [1].py").write_bytes(b"\xff\x00 no text")
    (committed / "data" / "raw").mkdir(parents=True)
    (committed / "data" / "raw" / "calls.dvc").write_text("outs\n")
    (committed / "dvc.lock").write_text("2\n")

    with runs.start_run(committed, name="dirty", params={}) as run:
        pass

    assert stored(committed, run.run_id).data.tags["git.dirty"] == "true"
    diff = runs.fetch_artifact(committed, run.run_id, runs.DIFF).read_bytes()
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(committed.parent), str(clone))
    git(clone, "apply", "-", feed=diff)
    project = clone / "project"
    assert (project / "src" / "code.py").read_text() == "2\n"
    assert (project / "src" / "new [1].py").read_bytes() == b"\xff\x00 no text"
    assert (project / "data" / "raw" / "calls.dvc").read_text() == "outs\n"
    assert (project / "dvc.lock").read_text() == "1\n"
    # The user's own index is as it was.
    assert lineage.git_diff(committed) == diff


def test_an_experiment_in_a_temporary_clone_logs_to_its_project(tmp_path: Path) -> None:
    """By the road of `dvc exp run --temp`, with real DVC."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").write_text("seed: 7\n")
    (project / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: python train.py . > run\n"
        "    deps: [train.py]\n    params: [seed]\n    outs: [run]\n"
    )
    (project / ".gitignore").write_text("/mlruns\n/run\n")
    (project / "train.py").write_text(START)
    dvc = [sys.executable, "-m", "dvc"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@localhost",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@localhost",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    git(project, "init", "-q")
    subprocess.run([*dvc, "init", "-q"], cwd=project, env=environment, check=True)
    git(project, "add", ".")
    git(project, "commit", "-qm", "x")
    store.prepare_store(project)

    done = subprocess.run(
        [*dvc, "exp", "run", "--temp", "--name", "tall-oak", "-S", "seed=8"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    experiment = store.prepare_store(project)
    (run,) = store.connect(project).search_runs([experiment])
    assert run.data.tags["dvc.exp.name"] == "tall-oak"
    assert run.info.artifact_uri.startswith((project / "mlruns" / "artifacts").as_uri())


def test_processes_that_race_for_a_fresh_store_all_get_a_run(tmp_path: Path) -> None:
    children = [child(tmp_path) for _ in range(3)]

    printed = [process.communicate(timeout=120)[0] for process in children]

    assert [process.returncode for process in children] == [0, 0, 0], printed
    experiment = store.prepare_store(tmp_path)
    assert len(store.connect(tmp_path).search_runs([experiment])) == 3


def test_a_kill_amid_the_creation_leaves_no_broken_store(tmp_path: Path) -> None:
    process = child(tmp_path)
    unfinished = tmp_path / "mlruns" / "mlflow.new"
    deadline = time.monotonic() + 60
    while not unfinished.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert unfinished.exists(), "the kill came too late to test anything"

    assert store.prepare_store(tmp_path)


def test_the_project_keeps_its_own_store_unless_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store.tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    assert store.tracking_uri(tmp_path) == "http://127.0.0.1:9"
    with pytest.raises(RegistryError, match=r"No MLflow server answers at http://127\.0\.0\.1:9"):
        store.prepare_store(tmp_path)


def test_the_default_store_is_lent_only_for_the_while(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with store.as_default_store(root):
        assert os.environ["MLFLOW_TRACKING_URI"] == store.tracking_uri(root)

    assert "MLFLOW_TRACKING_URI" not in os.environ
