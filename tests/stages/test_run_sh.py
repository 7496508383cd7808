"""`.venv/bin/dvc repro` works in a shell whose environment is not activated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "src" / "ser" / "stages" / "run.sh"


@pytest.fixture
def other_python(tmp_path: Path) -> str:
    """A PATH on which `python` is one that has no `ser`."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\necho \"No module named 'ser'\" >&2\nexit 1\n")
    python.chmod(0o755)
    return os.pathsep.join([str(python.parent), "/usr/bin", "/bin"])


def test_a_stage_runs_on_the_python_that_runs_dvc(tmp_path: Path, other_python: str) -> None:
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  it:\n    cmd: exec sh {RUN} manifest\n")
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "PATH": other_python}
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "-q", "--no-scm"], cwd=tmp_path, env=environment, check=True)

    done = subprocess.run(
        [*dvc, "repro"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )

    # The stage's own words: it has started.
    assert "error: Found the arguments none; this stage takes NAME." in done.stderr


def test_a_stage_runs_on_the_projects_own_python(tmp_path: Path, other_python: str) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    done = started_by_a_shell(tmp_path, other_python)

    assert "this stage takes NAME" in done.stderr


def test_without_any_python_that_has_ser_a_line_says_what_to_do(
    tmp_path: Path, other_python: str
) -> None:
    done = started_by_a_shell(tmp_path, other_python)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "source .venv/bin/activate" in line


def started_by_a_shell(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"sh {RUN} manifest; exit $?"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
