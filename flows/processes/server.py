"""Servers on this machine: the Prefect server that a retraining reports to, and how one starts."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flows.processes import note
from flows.processes.guard import Start, guards
from ser.errors import StageError
from ser.io.tracking.address import VARIABLE

API_URL = "PREFECT_API_URL"
#: Seconds until a server must answer: a first start migrates its database.
START_TIMEOUT = 180.0
#: Seconds that the temporary server may take to end; all that matters is written by then.
STOP_TIMEOUT = 1.0
#: Set where the server that PREFECT_API_URL names is our own temporary one.
IS_TEMPORARY = "SER_PREFECT_IS_TEMPORARY"
MLFLOW_PORT, PREFECT_PORT, SERVE_PORT = 5000, 4200, 8000
#: Ports after the preferred one that are tried before any free one.
NEARBY = 20
#: Names of our servers, and of their logs -> the variable that names a running one.
TEMPORARY_NAME = "prefect-server"
NAMED_BY = {"mlflow": VARIABLE, "prefect": API_URL, TEMPORARY_NAME: API_URL}
#: With these Prefect itself starts a temporary server: without interface and schedules.
TEMPORARY = {
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_UI_ENABLED": "0",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
}


@dataclass(frozen=True)
class Server:
    """process : that of a temporary server, on the project's own database."""

    root: Path
    url: str
    process: subprocess.Popen[Any] | None = None

    @property
    def has_ui(self) -> bool:
        """Whether a browser finds a page there, beside the API."""
        return self.process is None

    @property
    def has_ended(self) -> bool:
        """Whether a temporary server was ended by somebody else."""
        return self.process is not None and self.process.poll() is not None

    def wait(self) -> None:
        """Return when the server answers; raises StageError if it does not."""
        if self.process is None:
            check_answers("Prefect", self.url, API_URL)
        else:
            wait_for({TEMPORARY_NAME: self.process}, [self.url], self.root)


def prefect_server(root: Path) -> Server:
    """PREFECT_API_URL's server, else that of `make up`, else one of our own until we exit.

    Prefect would start one itself, but only after its import, writing tracebacks to the
    terminal when it is stopped between two writes, and taking five seconds over that.
    Call this before importing Prefect, and `wait` before running a flow.
    """
    if found := running_server(root):
        os.environ[API_URL] = found
        return Server(root, found)
    port = free_port()
    os.environ[API_URL] = url = f"http://127.0.0.1:{port}/api"
    os.environ[IS_TEMPORARY] = "1"
    command = [
        *("uvicorn", "--factory", "prefect.server.api.server:create_app"),
        *("--port", str(port), "--log-level", "error"),
    ]
    env = {**os.environ, **TEMPORARY}
    life = ExitStack()
    start = life.enter_context(guards())
    process = start_server(start, TEMPORARY_NAME, command, root=root, env=env, grace=STOP_TIMEOUT)
    # Prefect sends its last words at exit too; handlers that are registered later run
    # earlier, so that they still find the server.
    atexit.register(life.close)
    return Server(root, url, process)


def start_server(
    start: Start,
    name: str,
    command: Sequence[str],
    *,
    root: Path,
    env: Mapping[str, str],
    again: bool = False,
    **options: float,
) -> subprocess.Popen[Any]:
    """`python -m COMMAND` under a guard, with a log of that name.

    again : the log goes on. options : `grace` and `linger` of the guard.
    """
    log = log_of(root, name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab" if again else "wb") as out:
        command = [sys.executable, "-m", *command]
        return start(command, cwd=root, env=env, stdout=out, stderr=out, **options)


def log_of(root: Path, name: str) -> Path:
    return root / ".ser" / "logs" / f"{name}.log"


def wait_for(servers: Mapping[str, subprocess.Popen[Any]], urls: Iterable[str], root: Path) -> None:
    """Return when all addresses answer; raises StageError where a server ends before."""
    deadline = time.monotonic() + START_TIMEOUT
    for url in urls:
        while not answers(url):
            for name, server in servers.items():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise StageError(
                        f"{name} did not start; its log is {log_of(root, name)}. "
                        f"Name a running server with {NAMED_BY[name]} to do without it."
                    )
            time.sleep(0.05)


def check_answers(what: str, url: str, variable: str) -> None:
    """Raise StageError where nothing answers at an address that the variable names."""
    if not answers(url):
        raise StageError(
            f"No {what} server answers at {url}; start it, or unset {variable} to do without it."
        )


def answers(url: str) -> bool:
    """Whether a server is there; one that asks for a password is there, too."""
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody listens there, else one shortly after it, else any free port."""
    for port in (*range(preferred, preferred + NEARBY if preferred else 0), 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StageError("No port is free on 127.0.0.1; end a server, then start again.")


def mlflow_ui(root: Path) -> str:
    """Where a browser finds the runs: MLFLOW_TRACKING_URI's server, else that of `make up`."""
    return named_mlflow() or note.read(root).mlflow or f"http://127.0.0.1:{MLFLOW_PORT}"


def named_mlflow() -> str | None:
    """The server that MLFLOW_TRACKING_URI names, if it names one."""
    uri = urlsplit(os.environ.get(VARIABLE, ""))
    if uri.scheme not in ("http", "https"):
        return None
    # Name and password are not for reports.
    return urlunsplit((uri.scheme, uri.netloc.rpartition("@")[2], uri.path.rstrip("/"), "", ""))


def prefect_ui(root: Path) -> str:
    """Where a browser finds the flow runs: PREFECT_API_URL's server, else that of `make up`."""
    api = os.environ.get(API_URL)
    if not api or os.environ.get(IS_TEMPORARY):
        # Its database is the one that `make up` shows, on the port of the last time.
        api = note.read(root).prefect_api or f"http://127.0.0.1:{PREFECT_PORT}/api"
    return str(api).rstrip("/").removesuffix("/api")


def running_server(root: Path) -> str | None:
    """PREFECT_API_URL, else the server of `make up`, which is waited for where it starts."""
    if os.environ.get(API_URL):
        return os.environ[API_URL].rstrip("/")
    deadline = time.monotonic() + START_TIMEOUT
    # Another server on the same database would be in the way of one that starts.
    while (found := note.running(root)) and time.monotonic() < deadline:
        if found.ready and answers(found.prefect_api):
            return found.prefect_api
        time.sleep(0.1)
    return None
