"""`ser up`: MLflow, Prefect, a worker and the champion's server, by one command.

One process in the background keeps them running (`flows/servers/supervisor.py`); this starts it,
and returns when all of them are well. Servers that PREFECT_API_URL and MLFLOW_TRACKING_URI name
are used; what is missing is started on the project's own stores.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from flows.processes import note
from flows.processes.environment import begin, failed
from flows.processes.note import Note
from flows.processes.server import (
    MLFLOW_PORT,
    PREFECT_PORT,
    SERVE_PORT,
    START_TIMEOUT,
    log_of,
)
from flows.servers.services import health
from flows.servers.supervisor import (
    LOG,
    Wanted,
    keep_running,
    last_error,
    named_servers,
)
from flows.servers.systemd import unit
from ser.errors import SerError, StageError
from ser.io.tracking.address import shown_uri

#: Held by a command that waits for the start.
STARTING = Path(".ser/up.start.lock")
#: Seconds between two looks at what starts.
LOOK = 0.25
#: Longer than the supervisor gives its parts.
PATIENCE = 3 * START_TIMEOUT


def main() -> int:
    """Start MLflow, Prefect, a worker and the champion's server, and wait until they are well."""
    parser = argparse.ArgumentParser(prog="ser up", description=main.__doc__)
    ports = (("mlflow", MLFLOW_PORT), ("prefect", PREFECT_PORT), ("serve", SERVE_PORT))
    for name, port in ports:
        parser.add_argument(
            f"--{name}-port", type=int, default=0, help=f"default: that of the last time, or {port}"
        )
    parser.add_argument(
        "--no-worker", action="store_true", help="MLflow and Prefect alone: no schedule runs"
    )
    parser.add_argument("--no-serve", action="store_true", help="the champion is not served")
    parser.add_argument("--foreground", action="store_true", help="until Ctrl-C or SIGTERM")
    parser.add_argument(
        "--systemd", action="store_true", help="print a unit that starts it with the machine"
    )
    options = parser.parse_args()
    root = begin()
    if options.systemd:
        print(unit(root), end="")
        return 0
    wanted = Wanted(
        worker=not options.no_worker,
        serve=not (options.no_serve or options.no_worker),
        mlflow_port=options.mlflow_port,
        prefect_port=options.prefect_port,
        serve_port=options.serve_port,
    )
    # A plain `kill`, and a terminal that is closed, must stop the servers as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if not wanted.worker and set(named_servers()) == {"mlflow", "prefect"}:
            print(f"MLflow   {named_servers()['mlflow']}")
            print(f"Prefect  {named_servers()['prefect'].removesuffix('/api')}")
            print("Both run elsewhere; there is nothing to start.")
        elif options.foreground:
            _in_foreground(root, wanted)
        else:
            _in_background(root, wanted)
    except KeyboardInterrupt:
        return 0 if options.foreground else 130
    except (SerError, OSError) as error:
        return failed(error)
    return 0


def _in_foreground(root: Path, wanted: Wanted) -> None:
    def on_ready(running: Note) -> None:
        _print(running)
        print("Ctrl-C stops what was started.", flush=True)

    if running := note.running(root):
        _print(running)
        print(f"They run already, as process {running.pid}.")
        return
    print(f"Starting {_parts(wanted)} …", flush=True)
    keep_running(root, wanted, on_ready)


def _in_background(root: Path, wanted: Wanted) -> None:
    """Start the supervisor, unless one runs, and wait until all is well."""
    (root / STARTING).parent.mkdir(exist_ok=True)
    # The second of two at once finds what the first has started.
    with FileLock(root / STARTING):
        started, running = _started(root, wanted)
    _print(running)
    if wanted.worker and not running.worker:
        raise StageError(
            f"Process {running.pid} runs the servers without a worker; end it (`make down`), then "
            "`make up`."
        )
    already = "" if started else "already "
    print(f"They run {already}in the background, as process {running.pid}; `make down` stops them.")
    if running.store != shown_uri(root):
        print(f"Scheduled runs are recorded in {running.store}, those of this shell elsewhere.")


def _started(root: Path, wanted: Wanted) -> tuple[bool, Note]:
    """Whether the supervisor had to be started, and its note once all is well."""
    supervisor: subprocess.Popen[Any] | None = None
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            running = note.running(root)
            if running and running.ready and all(health(running).values()):
                return supervisor is not None, running
            if time.monotonic() > deadline:
                raise StageError(f"Not all is well yet; the log is {log_of(root, LOG)}.")
            if running is None and supervisor is None:
                print(f"Starting {_parts(wanted)} …", flush=True)
                supervisor = _start_supervisor(root, wanted)
            elif running is None and supervisor and supervisor.poll() is not None:
                raise StageError(_why(root))
            time.sleep(LOOK)
    except BaseException:
        if supervisor is not None:
            supervisor.terminate()
            supervisor.wait()
        raise


def _start_supervisor(root: Path, wanted: Wanted) -> subprocess.Popen[Any]:
    command = [sys.executable, "-m", "flows.servers.up", "--foreground"]
    command += [] if wanted.worker else ["--no-worker"]
    command += [] if wanted.serve else ["--no-serve"]
    command += ["--mlflow-port", str(wanted.mlflow_port)]
    command += ["--prefect-port", str(wanted.prefect_port)]
    command += ["--serve-port", str(wanted.serve_port)]
    log = log_of(root, LOG)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # No signal of this terminal comes to it.
            start_new_session=True,
        )


def _why(root: Path) -> str:
    log = log_of(root, LOG)
    return last_error(log) or f"It ended while it started; the log is {log}."


def _parts(wanted: Wanted) -> str:
    if not wanted.worker:
        return "MLflow and Prefect"
    return f"MLflow, Prefect, {'the champion ' if wanted.serve else ''}and a worker"


def _print(running: Note) -> None:
    is_well = health(running)
    shown = {
        "mlflow": ("MLflow", running.mlflow, "runs, models, figures"),
        "prefect": ("Prefect", running.prefect_api.removesuffix("/api"), "flow runs, schedule"),
        "serve": ("Serving", running.serve, "the champion: page, REST, live streams"),
        "worker": ("Worker", running.worker, "runs the schedule of prefect.yaml"),
    }
    for part, well in is_well.items():
        name, where, what = shown[part]
        print(f"{name:<8} {where:<28} {'well' if well else 'away'}   {what}")
    if running.compare:
        print(f"Which run is better, and why: {running.compare}")


if __name__ == "__main__":
    sys.exit(main())
