"""What lies in `flows` is started by `python -m flows.…` in the project's root."""

from __future__ import annotations

import os
import sys

import typer

from ser.project import project_root

#: Arguments are the flow's own, `--help` too.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run(context: typer.Context) -> None:
    """Retrain: what is stale is made again, a model that is not worse is promoted (`make run`)."""
    _become("flows.retrain", context)


def ui(context: typer.Context) -> None:
    """MLflow and Prefect in the browser, on this project's stores (`make ui`)."""
    _become("flows.ui", context)


def worker(context: typer.Context) -> None:
    """Run the schedule of prefect.yaml until Ctrl-C (`make worker`)."""
    _become("flows.worker", context)


def reproduce(context: typer.Context) -> None:
    """Make a version again in a worktree, and compare features, weights and scores."""
    _become("flows.lineage.reproduce", context)


def _become(module: str, context: typer.Context) -> None:
    # Of one process with the flow, signals and exit status are the flow's own.
    root = project_root()
    # A file that was named from below the root is found from there, too.
    given = [os.path.abspath(a) if os.path.isfile(a) else a for a in context.args]
    os.chdir(root)
    os.execv(sys.executable, [sys.executable, "-m", module, *given])
