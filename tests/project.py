"""A project in a folder of its own, and the commands that a person would type there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Project:
    """A checkout in a folder of its own, with a reduced embedded corpus."""

    root: Path

    def copied_to(self, folder: Path, *, repro: bool = False) -> Project:
        """The same in a folder of its own."""
        copy = Project(folder / "project")
        shutil.copytree(self.root, copy.root, symlinks=True)
        if repro:
            copy.repro()
        return copy

    def set(self, **values: object) -> None:
        """Set parameters: `project.set(model__name="svc")` sets `model.name`."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for key, value in values.items():
            *sections, name = key.split("__")
            reduce(lambda section, part: section[part], sections, params)[name] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m …` in the project, on the project's own source."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root}",
        }
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
        )

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`, which must succeed; the stages that it ran."""
        done = self.run("dvc", "repro", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"Running stage '([^']+)'", done.stdout)

    def json(self, path: str) -> Any:
        return json.loads((self.root / path).read_text())
