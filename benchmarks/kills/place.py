"""A clone of the project, its flows, and copies of its state to begin from again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks import page
from flows.processes import note
from flows.processes.marks import marked
from flows.processes.server import API_URL
from ser.io.web.quiet import QUIET

#: Marks each process that the benchmark starts in a place.
MARK = "SER_KILLS"
#: Seconds within which anything must happen on a loaded machine.
PATIENCE = 1200.0
#: A flow of a minute: few speakers, few resamples, and a gate that lets each challenger pass.
SMALL: dict[str, Any] = {
    "synthetic": {"speakers": 6, "sentences": 2},
    "augment": {"versions": 0},
    "abstention": {"max_novelty_percentile": None},
    "evaluate": {"bootstrap": 100},
    "stress": {"utterances": 2, "families": ["small"], "resamples": 100},
    "gate": {
        "min_probability": 0.0,
        "min_speakers": 1,
        "resamples": 100,
        "over_chance": False,
        "min_recall": None,
        "max_sex_gap": None,
        "max_ece": None,
        "max_abstained": None,
        "min_unchanged": {},
    },
}


@dataclass
class Place:
    """root : a clone. mark : of all its processes, which change it for each point."""

    root: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def make(self) -> None:
        """The last commit, with small parameters."""
        subprocess.run(["git", "clone", "-q", page.ROOT, self.root], check=True)
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in SMALL.items():
            params[section] |= values
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        self.set(model__name="lda")
        git = ["git", "-C", str(self.root), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run([*git, "commit", "-qam", "small"], check=True)
        self.temporary.mkdir()

    @property
    def temporary(self) -> Path:
        """The folder for temporary files of all that runs here."""
        return self.root.parent / "tmp"

    def set(self, **values: object) -> None:
        """`place.set(model__name="cnn")` sets `model.name`."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for key, value in values.items():
            *sections, name = key.split("__")
            reduce(lambda section, part: section[part], sections, params)[name] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def keep(self, name: str) -> None:
        """Remember the state of everything under that name; nothing may run meanwhile."""
        _copy(self.root, self.root.with_name(name))

    def restore(self, name: str) -> None:
        _copy(self.root.with_name(name), self.root)

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {
            "PATH": path,
            "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root}",
            "TMPDIR": str(self.temporary),
            MARK: self.mark,
        }
        return {**os.environ, **QUIET, **own}

    def run(self, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"error: {' '.join(command)} failed: {done.stdout}{done.stderr}")

    def processes(self) -> list[psutil.Process]:
        return marked(MARK, self.mark)


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    # With times and hard links: DVC's cache and its database stay what they are.
    subprocess.run(["cp", "-a", source, target], check=True)


def api(place: Place) -> str:
    return os.environ.get(API_URL) or note.read(place.root).prefect_api


def until(look: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while (found := look()) is None or found is False:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {patience:.0f} s for {what} in vain.")
        time.sleep(0.5)
    return found
