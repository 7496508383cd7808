"""What ends `python -m flows.retrain` before the flow starts."""

import os
import subprocess
import sys
import time

import psutil
import pytest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data__corpora": ["ravdes"]}, "Did you mean ravdess?"),
        ({"data__corpora": ["ravdess"]}, "data/raw/ravdess does not exist"),
        ({"sead": 1}, "Did you mean seed?"),
    ],
)
def test_what_is_misspelt_or_missing_is_one_line_and_no_flow_run(
    checkout, tmp_path, changed, words
):
    project = checkout.copied_to(tmp_path)
    project.set(**changed)
    done = project.run("flows.retrain")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_run_whose_own_server_was_killed_ends_soon_with_a_line(checkout, tmp_path):
    """Prefect alone would ask for it for minutes."""
    project = checkout.copied_to(tmp_path)
    log = project.root / ".ser/logs/featurize.log"
    with subprocess.Popen(
        [sys.executable, "-m", "flows.retrain"],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": f"{project.root / 'src'}{os.pathsep}{project.root}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as flow:
        own = psutil.Process(flow.pid)
        while not log.exists():
            assert flow.poll() is None, flow.communicate()
            time.sleep(0.2)
        (server,) = (
            child
            for child in own.children(recursive=True)
            if "uvicorn" in child.cmdline() and "guard.py" not in " ".join(child.cmdline())
        )
        server.kill()
        killed = time.monotonic()
        _, said = flow.communicate(timeout=120)
    assert flow.returncode == 1
    # Its grace, and what a loaded machine takes beside.
    assert time.monotonic() - killed < 60
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "The Prefect server of this run was ended" in line
