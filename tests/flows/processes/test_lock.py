"""One retraining at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.processes.lock import MARK, hold

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
