"""One retraining at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.processes.lock import MARK, RetrainingUnderWay, hold, under_way

ROOT = Path(__file__).parents[3]
SOURCE = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
HOLD = """
import subprocess, sys, time
from pathlib import Path
from flows.processes.lock import hold
with hold(Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True)
    time.sleep(60)
"""

#: A stage that takes a while to end, as a training that closes its run does.
STAGE = """
import time
from pathlib import Path
try:
    Path("begun").touch()
    time.sleep(60)
finally:
    time.sleep(2)
    Path("ended").touch()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """A process that holds the lock of `tmp_path`, and its child's id."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process.stdout:
        child = int(process.stdout.readline())
    yield process, child
    process.kill()
    process.wait()
    with hold(tmp_path):
        pass


def test_a_second_start_says_who_holds_the_lock_and_ends(holder, tmp_path: Path) -> None:
    process, _ = holder

    second = subprocess.run(
        [sys.executable, "-m", "flows.retrain"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
    )

    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"error: A retraining is under way by process {process.pid} since 20")


def test_the_lock_is_free_after_its_holder_was_killed(holder, tmp_path: Path) -> None:
    process, child = holder
    process.kill()
    process.wait()
    assert Path(f"/proc/{child}").exists()

    with hold(tmp_path):
        deadline = time.monotonic() + 5
        while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{child}").exists(), "what the killed one started is ended"


def test_the_flow_may_hold_what_its_command_holds(tmp_path: Path) -> None:
    with hold(tmp_path), hold(tmp_path):
        assert MARK in os.environ

    assert MARK not in os.environ
    assert not (tmp_path / ".ser" / "retrain.json").exists()


def test_another_process_with_the_number_of_a_killed_one_does_not_retrain(
    tmp_path: Path,
) -> None:
    with hold(tmp_path):
        assert under_way(tmp_path)["pid"] == os.getpid()
        holder = tmp_path / ".ser" / "retrain.json"
        facts = json.loads(holder.read_text())
        # The one before started a minute earlier.
        holder.write_text(json.dumps({**facts, "started": facts["started"] - 60}))
        assert under_way(tmp_path) is None


def test_repro_that_is_stopped_holds_the_lock_until_its_stage_has_ended(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "stage.py").write_text(STAGE)
    command = f"exec {sys.executable} stage.py"
    (tmp_path / "dvc.yaml").write_text(f"stages: {{slow: {{cmd: {command}}}}}")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.repro"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            time.sleep(0.5)
        assert not (tmp_path / "ended").exists()
        with pytest.raises(RetrainingUnderWay, match=str(process.pid)), hold(tmp_path):
            pass
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "ended").exists()
    with hold(tmp_path):
        pass
