"""A small project of a benchmark's own: this source, the embedded corpus, quick stages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import yaml

from benchmarks import page
from ser.io.web.quiet import QUIET

#: Seconds within which anything must happen, or a benchmark gives up.
PATIENCE = 1800.0
#: So small that a flow takes a minute.
SMALL = {
    "synthetic.speakers": 6,
    "synthetic.sentences": 3,
    "augment.versions": 0,
    "evaluate.bootstrap": 100,
    "abstention.max_novelty_percentile": None,
    "stress.utterances": 4,
    "stress.families": ["small"],
    "gate.min_speakers": 1,
}


def make(root: Path, params: Mapping[str, object]) -> None:
    """A checkout of this source, committed, in a folder that is made. params : beside `SMALL`."""
    root.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("src", "flows"):
        shutil.copytree(page.ROOT / name, root / name, ignore=ignore)
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "data/raw/.gitignore"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page.ROOT / name, root / name)
    (root / ".dvc").mkdir()
    shutil.copy(page.ROOT / ".dvc" / "config", root / ".dvc")
    set_params(root, {**SMALL, **params})
    git = ["git", "-C", str(root), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "a checkout"], check=True)


def set_params(root: Path, values: Mapping[str, object]) -> None:
    """Set parameters by their dotted names."""
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for key, value in values.items():
        *sections, name = key.split(".")
        reduce(lambda section, part: section[part], sections, params)[name] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def environment(root: Path, **own: str) -> dict[str, str]:
    """Of a command in the project: its own source and stores, and this interpreter as `python`."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_TRACK", "PREFECT_"))}
    return {
        **given,
        **QUIET,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "PREFECT_HOME": str(root / ".prefect"),
        **own,
    }


def run(root: Path, *command: str, **own: str) -> subprocess.CompletedProcess[str]:
    """`python -m COMMAND` in the project. own : more of its environment."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment(root, **own),
        capture_output=True,
        text=True,
    )


def until(done: Callable[[], bool], what: str) -> None:
    """Wait for something; ends the benchmark where it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"error: Waited {PATIENCE:.0f} s for {what} in vain.")
        time.sleep(0.05)
