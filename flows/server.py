"""The Prefect server that a retraining reports to."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from flows.guard import guarded, lifeline
from ser.errors import StageError

API_URL = "PREFECT_API_URL"
#: Seconds until a server must answer: a first start migrates its database.
START_TIMEOUT = 120.0
#: Seconds that a server may take to end; all that matters is written by then.
STOP_TIMEOUT = 1.0
LOG = Path(".ser/logs/prefect-server.log")
#: Where `flows.ui` writes the addresses of the user interfaces.
UI_FILE = Path(".ser/ui.json")
MLFLOW_PORT, PREFECT_PORT = 5000, 4200
#: Ports after the preferred one that are tried before any free one.
NEARBY = 20


class Server(Protocol):
    url: str
    #: Whether a browser finds a page there, beside the API.
    has_ui: bool

    def wait(self) -> None:
        """Return when the server answers; raises StageError if it does not."""


def prefect_server(root: Path) -> Server:
    """PREFECT_API_URL's server, else that of `make ui`, else one of our own until we exit.

    Prefect would start one itself, but only after its import, writing tracebacks to the
    terminal when it is stopped between two writes, and taking five seconds over that.
    Call this before importing Prefect, and `wait` before running a flow.
    """
    named = bool(os.environ.get(API_URL))
    found = running_server(root)
    server: _Running | _Temporary
    if found:
        server = _Running(found, f"unset {API_URL}" if named else f"remove {UI_FILE}")
    else:
        server = _Temporary(root)
        # Prefect sends its last words at exit too; handlers that are registered later run
        # earlier, so that they still find the server.
        atexit.register(server.stop)
    os.environ[API_URL] = server.url
    return server


def answers(url: str) -> bool:
    """Whether a server is there; one that asks who we are is there too."""
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def is_prefect(url: str) -> bool:
    """Whether a Prefect API answers, and not something else that serves HTTP."""
    try:
        with urllib.request.urlopen(f"{url}/admin/version", timeout=5) as answer:
            return isinstance(json.load(answer), str)
    except (OSError, ValueError):
        return False


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody listens there, else one shortly after it, else any free port."""
    for port in (*range(preferred, preferred + NEARBY if preferred else 0), 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StageError("No port is free on 127.0.0.1; end a server, then start again.")


def user_interfaces(root: Path) -> dict[str, str]:
    """Addresses from `make ui`: `mlflow` of the last one, `prefect_api` while it runs."""
    try:
        found = dict(json.loads((root / UI_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return {}
    return {name: url for name, url in found.items() if isinstance(url, str)}


def mlflow_ui(root: Path) -> str:
    """Where a browser finds the runs: MLFLOW_TRACKING_URI's server, else that of `make ui`."""
    uri = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    if uri.scheme in ("http", "https"):
        # Name and password are not for reports.
        return urlunsplit((uri.scheme, uri.netloc.rpartition("@")[2], uri.path.rstrip("/"), "", ""))
    return user_interfaces(root).get("mlflow", f"http://127.0.0.1:{MLFLOW_PORT}")


def running_server(root: Path) -> str | None:
    """PREFECT_API_URL, else the address of the server that `make ui` shows, if it answers."""
    if os.environ.get(API_URL):
        return os.environ[API_URL]
    url = user_interfaces(root).get("prefect_api")
    return url if url and answers(url) else None


class _Running:
    has_ui = True

    def __init__(self, url: str, remedy: str) -> None:
        self.url, self._remedy = url, remedy

    def wait(self) -> None:
        if not answers(self.url):
            raise StageError(
                f"No Prefect server answers at {self.url}; start it, or {self._remedy}."
            )


class _Temporary:
    """A server on the project's own database, without interface and schedules."""

    has_ui = False

    def __init__(self, root: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self._log = root / LOG
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = ["-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        # The variables are those with which Prefect starts a temporary server.
        light = {
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
            "PREFECT_UI_ENABLED": "0",
            "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        }
        self._life = ExitStack()
        alive = self._life.enter_context(lifeline())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                guarded(
                    [sys.executable, *command, "--port", str(port), "--log-level", "error"],
                    grace=STOP_TIMEOUT,
                ),
                env={**os.environ, **light},
                stdin=alive,
                stdout=log,
                stderr=log,
                # Ctrl-C must end it last, not first.
                start_new_session=True,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not answers(self.url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StageError(
                    f"Prefect's temporary server did not start; its log is {self._log}. "
                    "Name a running server with PREFECT_API_URL to do without it."
                )
            time.sleep(0.05)

    def stop(self) -> None:
        self._life.close()
        self._process.wait()
