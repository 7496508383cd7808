"""A project in a folder of its own, and the commands that a person would type there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial, reduce
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from ser.stages.base import run_stage


@dataclass(frozen=True)
class Project:
    """A checkout in a folder of its own, with a reduced embedded corpus."""

    root: Path

    def copied_to(self, folder: Path) -> Project:
        """The same in a folder of its own."""
        copy = Project(folder / "project")
        shutil.copytree(self.root, copy.root, symlinks=True)
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

    def call(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`run` for `ser.cli` or a stage, in this process: starting another takes seconds.

        A test of a process itself, its signals, its end or its own source, needs `run`.
        """
        command = [module, *arguments]
        entry = import_module(module)
        start = entry.main if module == "ser.cli" else partial(run_stage, entry.run)
        out, err, status = StringIO(), StringIO(), 0
        with (
            chdir(self.root),
            patch.dict(os.environ),
            patch.object(sys, "argv", list(command)),
            redirect_stdout(out),
            redirect_stderr(err),
            warnings_on_stderr(),
        ):
            try:
                start()
            except SystemExit as leaving:
                status = int(leaving.code or 0)
            except Exception:
                traceback.print_exc()
                status = 1
        return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`, which must succeed; the stages that it ran."""
        done = self.run("dvc", "repro", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"Running stage '([^']+)'", done.stdout)

    def make_all(self) -> None:
        """What `repro` makes of a fresh checkout, but by stages in this process: sooner."""
        stages = yaml.safe_load((self.root / "dvc.yaml").read_text())["stages"]
        corpora = yaml.safe_load((self.root / "params.yaml").read_text())["data"]["corpora"]
        for stage, definition in stages.items():
            for arguments in [[c] for c in corpora] if "foreach" in definition else [[]]:
                done = self.call(f"ser.stages.{stage}", *arguments)
                assert done.returncode == 0, done.stdout + done.stderr
        done = self.run("dvc", "commit", "--force", "--quiet")
        assert done.returncode == 0, done.stdout + done.stderr

    def json(self, path: str) -> Any:
        return json.loads((self.root / path).read_text())


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show warnings as Python does; pytest would keep them to itself."""

    def show(*warning: Any) -> None:
        sys.stderr.write(warnings.formatwarning(*warning[:4]))

    with warnings.catch_warnings():
        warnings.showwarning = show
        for hidden in (
            DeprecationWarning,
            ImportWarning,
            PendingDeprecationWarning,
            ResourceWarning,
        ):
            warnings.simplefilter("ignore", hidden)
        yield
