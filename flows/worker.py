"""`python -m flows.worker`: register the schedule of prefect.yaml, and run it until Ctrl-C.

The worker is Prefect's own; this finds the server and makes sure that stopping it stops it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from flows.environment import command_environment, set_defaults
from flows.server import API_URL, answers, running_server
from ser.errors import SerError, StageError
from ser.output import escape_unencodable, one_line

POOL = "default"
FAILED = 1


def main() -> int:
    """Register the schedule of prefect.yaml, and run it until Ctrl-C."""
    argparse.ArgumentParser(prog="python -m flows.worker", description=main.__doc__).parse_args()
    escape_unencodable()
    root = Path.cwd()
    set_defaults(root)
    # A script that starts us with `&` lets us ignore Ctrl-C, which is what Prefect's worker
    # sends itself to stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.environ[API_URL] = _server(root)
        _prefect("work-pool", "create", POOL, "--type", "process", may_exist=True)
        _prefect("--no-prompt", "deploy", "--all")
    except SerError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    print(f"Runs the schedule of prefect.yaml; reports to {os.environ[API_URL]}.", flush=True)
    return _become_worker()


def _become_worker() -> NoReturn:
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    os.execve(sys.executable, worker, command_environment())


def _server(root: Path) -> str:
    url = running_server(root)
    if url is None:
        raise StageError(
            "No Prefect server runs here; start `make ui`, or name a server with PREFECT_API_URL."
        )
    if not answers(url):
        raise StageError(f"No Prefect server answers at {url}; start it, or unset {API_URL}.")
    return url


def _prefect(*command: str, may_exist: bool = False) -> None:
    """Prefect's own command, whose output is shown only where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *command],
        env=command_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    words = " ".join((done.stdout + done.stderr).split())
    if done.returncode and not (may_exist and "already exists" in words):
        raise StageError(f"`prefect {' '.join(command)}` failed: {words[-400:]}")


if __name__ == "__main__":
    sys.exit(main())
