"""What `ser status` shows, of real stores and without servers."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from flows.servers import status
from ser.io.tracking import store
from ser.io.tracking.registry import journal
from ser.io.tracking.registry.versions import CHAMPION, MODEL

ROOT = Path(__file__).parents[3]
LOCK = """
schema: '2.0'
stages:
  manifest:
    cmd: manifest
    params:
      params.yaml:
        data.labels: {keep: all, merge: {}}
        seed: 7
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def test_a_champion_that_was_registered_by_hand_is_shown_without_a_run(root: Path) -> None:
    client = store.connect(root)
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(root))
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    # Of another store.
    row = journal.new_row(event="promoted", version=1, previous=None, store="other", reason="")
    journal.append(root, row)

    facts = status.gather(root)

    assert (facts["champion"]["version"], facts["champion"]["run_id"]) == (1, "")
    assert facts["champion"]["since"] is None
    assert status._version_text(facts["champion"]).startswith("version 1: registered by hand;")


def test_labels_that_are_merged_since_the_last_run_are_a_changed_parameter(root: Path) -> None:
    (root / "dvc.lock").write_text(LOCK)
    assert status.gather(root)["data"]["parameters_changed"] == []
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("merge: {}", "merge: {calm: neutral}"))
    assert status.gather(root)["data"]["parameters_changed"] == ["data.labels.merge.calm"]


def test_a_narrow_terminal_shows_what_a_flow_run_did() -> None:
    name = "2026-11-25 03:00 · lda c=0.25 n_components=12 shrinkage=0.1 · RAVDESS · promoted v7"
    tick = {
        "name": name,
        "at": "2026-11-25T03:00:00+00:00",
        "by": "schedule",
        "outcome": "Completed",
        "message": None,
        "seconds": 12.0,
    }
    page = io.StringIO()
    Console(file=page, width=80).print(status._ticks_table([tick]))
    assert page.getvalue().split()[-2:] == ["promoted", "v7"]


def test_down_ends_what_has_lost_its_supervisor_and_its_guard(tmp_path: Path) -> None:
    from flows.processes import note
    from flows.servers.services import MARK, left_over

    note.write(tmp_path, note.Note(pid=1, started=-1e9, mark="lost"))
    server = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: "lost.mlflow"})
    try:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "flows.servers.down"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - began < 30
    finally:
        server.kill()
        server.wait()
    assert not left_over("lost")
