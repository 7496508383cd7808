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


def up(context: typer.Context) -> None:
    """Start MLflow, Prefect, a worker and the server in the background (`make up`)."""
    _become("flows.servers.up", context)


def down(context: typer.Context) -> None:
    """End what `ser up` has started, and wait until all of it is gone (`make down`)."""
    _become("flows.servers.down", context)


def status(context: typer.Context) -> None:
    """What serves, from what data, the last ticks, the next one, what runs; --json."""
    _become("flows.servers.status", context)


def notify(context: typer.Context) -> None:
    """Who is told of promotions, refusals, roll-backs and failures: webhook, Slack, e-mail."""
    _become("flows.notify", context)


def ui(context: typer.Context) -> None:
    """MLflow and Prefect alone, until Ctrl-C (`make ui`)."""
    _become("flows.servers.up", context, "--foreground", "--no-worker")


def worker(context: typer.Context) -> None:
    """A worker alone, for a server elsewhere, until Ctrl-C (`make worker`)."""
    _become("flows.servers.worker", context)


def reproduce(context: typer.Context) -> None:
    """Make a version again in a worktree, and compare features, weights and scores."""
    _become("flows.lineage.reproduce", context)


def _become(module: str, context: typer.Context, *options: str) -> None:
    # Of one process with the flow, signals and exit status are the flow's own.
    root = project_root()
    # A file that was named from below the root is found from there, too.
    given = [os.path.abspath(a) if os.path.isfile(a) else a for a in context.args]
    os.chdir(root)
    os.execv(sys.executable, [sys.executable, "-m", module, *options, *given])
