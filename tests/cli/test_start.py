"""`ser` starts what lies in flows, from any folder of the project."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        *((own, own) for own in ("run", "up", "down", "status", "reproduce", "worker")),
        ("ui", "up"),
    ],
)
def test_a_flow_is_started_in_the_project_s_root_with_its_own_options(checkout, command, shown):
    done = subprocess.run(
        [sys.executable, "-m", "ser.cli", command, "--help"],
        cwd=checkout.root / "src",
        env={**os.environ, "PYTHONPATH": str(checkout.root / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"usage: ser {shown}" in done.stdout
