"""`python -m flows.worker`: register the schedule of prefect.yaml, and run it until Ctrl-C.

The worker is Prefect's own; this finds the server and makes sure that stopping it stops it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from flows.processes.environment import begin, command_environment, failed
from flows.processes.server import API_URL, check_answers, running_server
from ser.errors import SerError, StageError

POOL = "default"


def main() -> int:
    """Register the schedule of prefect.yaml, and run it until Ctrl-C."""
    argparse.ArgumentParser(prog="python -m flows.worker", description=main.__doc__).parse_args()
    root = begin()
    # A shell starts what it puts into the background (`&`) with Ctrl-C ignored; Prefect's worker
    # sends itself that signal to stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        url = running_server(root)
        if url is None:
            raise StageError(
                f"No Prefect server runs here; start `make ui`, or name a server with {API_URL}."
            )
        check_answers("Prefect", url, API_URL)
        os.environ[API_URL] = url
        _prefect("work-pool", "create", POOL, "--type", "process", may_exist=True)
        _prefect("--no-prompt", "deploy", "--all")
    except SerError as error:
        return failed(error)
    print(f"Runs the schedule of prefect.yaml; reports to {url}.", flush=True)
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    return os.execve(sys.executable, worker, command_environment())


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
