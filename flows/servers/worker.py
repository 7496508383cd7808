"""`ser worker`: register the schedule of prefect.yaml, and run it until Ctrl-C.

The worker is Prefect's own; this finds the server and makes sure that stopping it stops it.
`ser up` starts it beside its servers; by itself it is for a machine without servers.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from flows.processes import note, prefect_api
from flows.processes.environment import begin, command_environment, failed
from flows.processes.prefect_api import POOL
from flows.processes.server import API_URL, check_answers, running_server
from flows.processes.supervision import MESSAGE
from flows.servers.automations import retrain_on_drift
from flows.servers.services import MARK, heartbeats
from ser.errors import SerError, StageError


def main() -> int:
    """Register the schedule of prefect.yaml, and run it until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="ser worker", description=main.__doc__)
    parser.add_argument("--name", help="in Prefect; default: one of its own")
    parser.add_argument(
        "--own-server",
        action="store_true",
        help="flow runs of a killed worker are marked as crashed, unless another one is online",
    )
    options = parser.parse_args()
    root = begin()
    # A shell starts what it puts into the background (`&`) with Ctrl-C ignored; Prefect's worker
    # sends itself that signal to stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        platform = note.running(root)
        if MARK not in os.environ and platform and platform.worker:
            raise StageError(
                f"`make up` runs a worker already, beside its servers (process {platform.pid})."
            )
        url = running_server(root)
        if url is None:
            raise StageError(
                f"No Prefect server runs here; start it, and a worker, with `make up`, or name a "
                f"server with {API_URL}."
            )
        check_answers("Prefect", url, API_URL)
        os.environ[API_URL] = url
        pool = {"name": POOL, "type": "process"}
        prefect_api.post(url, "work_pools/", pool, may_exist=True)
        paused = [found["id"] for found in prefect_api.deployments(url) if found["paused"]]
        _deploy()
        # Prefect resumes what it deploys: what a person has paused stays paused.
        for deployment in paused:
            prefect_api.post(url, f"deployments/{deployment}/pause_deployment", {})
        retrain_on_drift(url)
        if options.own_server:
            crash_seeming(url, options.name)
    except SerError as error:
        return failed(error)
    print(f"Runs the schedule of prefect.yaml; reports to {url}.", flush=True)
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    named = ["--name", options.name] if options.name else []
    return os.execve(sys.executable, [*worker, *named], command_environment())


def crash_seeming(url: str, worker: str) -> None:
    """Mark what the worker left when it was killed, because of which each tick would be cancelled.

    Nothing where another worker is online, which may run it.
    """
    if heartbeats(url).keys() <= {worker}:
        prefect_api.crash_scheduled(url, MESSAGE)


def _deploy() -> None:
    """Prefect's own command, whose output is shown only where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        env=command_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        words = " ".join((done.stdout + done.stderr).split())
        raise StageError(f"`prefect deploy --all` failed: {words[-400:]}")


if __name__ == "__main__":
    sys.exit(main())
