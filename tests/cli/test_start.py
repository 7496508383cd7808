"""`ser` starts what lies in flows, from any folder of the project."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "module"),
    [
        *(("run", "retrain"), ("up", "up"), ("down", "down"), ("status", "status")),
        *(("ui", "up"), ("worker", "worker")),
    ],
)
def test_a_flow_is_started_in_the_project_s_root_with_its_own_options(checkout, command, module):
    done = subprocess.run(
        [sys.executable, "-m", "ser.cli", command, "--help"],
        cwd=checkout.root / "src",
        env={**os.environ, "PYTHONPATH": str(checkout.root / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m flows.{module}" in done.stdout
