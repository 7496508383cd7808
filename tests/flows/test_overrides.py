"""A flow run with parameters of its own: the checkout stays as it is, the version says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from flows import stages
from flows.report import Tick
from flows.worktree import as_checked_out, worktree
from ser.errors import StageError
from ser.io.tracking.address import WORKTREES
from ser.io.tracking.registry import journal, records, versions
from support.project import Project


def git(project: Project, *arguments: str) -> str:
    command = ["git", "-C", str(project.root), "-c", "user.name=t", "-c", "user.email=t@t"]
    return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout


def state_of(project: Project) -> tuple[str, bytes, bytes]:
    """What a tick must leave as it is."""
    root = project.root
    return (
        git(project, "status", "--porcelain"),
        (root / "dvc.lock").read_bytes(),
        (root / "reports" / "train.json").read_bytes(),
    )


def tick(project: Project, **asked: object) -> Tick:
    from flows.pipeline import retrain

    return retrain(root=str(project.root), **asked)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ticked(
    trained: Project, tmp_path_factory: pytest.TempPathFactory, prefect: None
) -> tuple[Project, Tick, tuple[str, bytes, bytes], str]:
    """A project after a tick and one with overrides; the state before that, the run's name."""
    from flows import flow_run

    project = trained.copied_to(tmp_path_factory.mktemp("overrides"))
    (project.root / "src" / "ser" / "uncommitted.py").write_text("NEW = True\n")
    # What people set for reading must not spoil what is applied.
    for name, value in {"diff.noprefix": "true", "color.ui": "always"}.items():
        git(project, "config", name, value)
    tick(project)
    before = state_of(project)
    names: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        update = flow_run._update
        patch.setattr(flow_run, "_update", lambda *a: (names.append(a[1]), update(*a))[1])
        found = tick(project, model="lda", overrides={"model.lda.shrinkage": 0.5}, reason="why not")
    return project, found, before, names[-1]


def test_the_checkout_stays_as_it_is_and_the_next_tick_has_nothing_to_do(ticked) -> None:
    project, _, before, _ = ticked

    assert state_of(project) == before
    assert list((project.root / WORKTREES).glob("*/")) == []
    assert git(project, "worktree", "list").count("\n") == 1
    assert {o.did for o in tick(project).outcomes} == {"unchanged"}


def test_only_what_the_overrides_concern_runs_again(ticked) -> None:
    outcomes = {o.stage: o for o in ticked[1].outcomes}

    assert outcomes["featurize"].did == "unchanged"
    assert outcomes["train"].did == "ran"
    assert "model.lda.shrinkage changed" in outcomes["train"].why


def test_a_version_says_what_was_set_for_it(ticked) -> None:
    project, found, _, name = ticked
    version = versions.get_version(project.root, found.version.version)
    record = records.fetch_record(project.root, version)

    asked = {"model.lda.shrinkage": 0.5, "model.name": "lda"}
    assert json.loads(version.tags["overrides"]) == record["overrides"] == asked
    assert version.tags["reason"] == record["reason"] == "why not"
    assert record["version"] == version.version
    assert record["verdict"]["reason"] == version.verdict_reason
    assert "+NEW = True" in record["git"]["diff"]
    # What was set is no code that was not committed.
    assert "params.yaml" not in record["git"]["diff"]
    fate = "promoted" if found.verdict.promote else "kept out"
    assert name.endswith(f" · lda with model.lda.shrinkage 0.5 · {fate} v{version.version}")


def test_a_dry_run_judges_and_registers_nothing(ticked, tmp_path: Path, prefect: None) -> None:
    project = ticked[0].copied_to(tmp_path)
    before = len(versions.all_versions(project.root)), journal.rows(project.root)

    found = tick(project, dry_run=True, overrides={"model.name": "lda", "model.lda.shrinkage": 0.9})

    assert found.verdict is not None
    assert found.summary.startswith("Dry run: the model would be")
    assert (len(versions.all_versions(project.root)), journal.rows(project.root)) == before


def test_nothing_is_promoted_that_the_remote_does_not_have(
    trained: Project, tmp_path: Path, prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import steps

    project = trained.copied_to(tmp_path)
    remote = tmp_path / "remote"
    remote.write_text("a file where the folder should be")
    stages.run(project.root, "remote", "add", "--default", "--quiet", "store", str(remote))
    push = steps.push.with_options(retries=0)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "push", push)
        with pytest.raises(StageError, match=r"remote.*before it is pushed"):
            tick(project)
    assert versions.champion(project.root) is None

    remote.unlink()
    assert tick(project).champion is not None
    md5 = stages.dvc.locked_outs(project.root)["models/bundle"]
    assert (remote / "files" / "md5" / md5[:2] / md5[2:]).exists()


def test_a_worktree_that_a_kill_left_is_made_anew(trained: Project, tmp_path: Path) -> None:
    project = trained.copied_to(tmp_path)
    child = os.fork()
    if child == 0:
        with worktree(project.root, "retrain") as tree:
            (tree / "left").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (project.root / WORKTREES / "retrain" / "left").exists()

    with as_checked_out(project.root, "retrain") as tree:
        assert not (tree / "left").exists()
        assert stages.changes(tree) == {}


def test_without_a_commit_overrides_are_one_line(trained: Project, tmp_path: Path) -> None:
    project = trained.copied_to(tmp_path)
    subprocess.run(["rm", "-rf", str(project.root / ".git")], check=True)

    with (
        pytest.raises(StageError, match=r"no Git commit.*git init"),
        worktree(project.root, "retrain"),
    ):
        pass
