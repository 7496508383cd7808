"""Servers and worker of a project, kept running by one process; all of them end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from flows.processes import note
from flows.processes.environment import command_environment
from flows.processes.guard import Start, guards
from flows.processes.marks import end_marked
from flows.processes.note import Note
from flows.processes.server import (
    API_URL,
    MLFLOW_PORT,
    NAMED_BY,
    PREFECT_PORT,
    SERVE_PORT,
    START_TIMEOUT,
    answers,
    check_answers,
    free_port,
    log_of,
    named_mlflow,
    start_server,
)
from flows.servers.services import MARK, end_left_over, heartbeats, worker_name
from ser.errors import StageError
from ser.io.tracking.address import VARIABLE, shown_uri, tracking_uri
from ser.io.tracking.pages.links import runs_url
from ser.io.tracking.store import prepare_store

LOCK = Path(".ser/up.lock")
LOG = "up"
#: Seconds in which a flow run that ends with the worker is recorded as crashed.
LINGER = 60.0
#: Seconds in which the server answers what it has begun.
GRACE = 35.0
#: Options of the guard under which a part runs.
OPTIONS = {"worker": {"linger": LINGER}, "serve": {"grace": GRACE}}
#: Seconds before a part that ended by itself is started again: twice as many each time.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Seconds after which a part counts as well.
STEADY = 60.0
#: MLflow's server would start eight processes more, for jobs of language models: 2 GB.
JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
LOOK = 0.25
#: How a command of ours begins the line with which it fails.
ERROR = "error: "


class RunsAlready(StageError):
    pass


@dataclass
class Part:
    """A server or the worker: how it is started, and when it is started again."""

    name: str
    command: Sequence[str]
    env: dict[str, str]
    options: dict[str, float] = field(default_factory=dict)
    process: subprocess.Popen[Any] | None = None
    since: float = 0.0
    pause: float = FIRST_PAUSE
    due: float | None = None

    def start(self, start: Start, root: Path) -> None:
        again = self.process is not None
        self.process = start_server(
            start, self.name, self.command, root=root, env=self.env, again=again, **self.options
        )
        self.since, self.due = time.monotonic(), None

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None


@dataclass(frozen=True)
class Wanted:
    """What to run, and on which ports; 0: that of the last time, or the usual one."""

    worker: bool = True
    serve: bool = True
    mlflow_port: int = 0
    prefect_port: int = 0
    serve_port: int = 0


def named_servers() -> dict[str, str]:
    """Addresses of the servers that the environment names; raises StageError where one is away."""
    urls: dict[str, str] = {}
    if mlflow := named_mlflow():
        urls["mlflow"] = mlflow
        check_answers("MLflow", mlflow, VARIABLE)
    if os.environ.get(API_URL):
        urls["prefect"] = os.environ[API_URL].rstrip("/")
        check_answers("Prefect", urls["prefect"], API_URL)
    return urls


def keep_running(root: Path, wanted: Wanted, on_ready: Callable[[Note], None]) -> None:
    """Start servers and worker, and start again what ends by itself, until an exception comes.

    on_ready : called when all of them are well. Raises RunsAlready where another process does
    this for the project, StageError where a part does not start.
    """
    (root / LOCK).parent.mkdir(exist_ok=True)
    lock = FileLock(root / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunsAlready(
            f"Another process keeps the servers of {root} running; `make down` ends it."
        ) from error
    platform = Platform(root, wanted)
    try:
        with guards() as start:
            try:
                platform.start(start)
                on_ready(note.read(root))
                while True:
                    platform.look(start)
                    time.sleep(LOOK)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                platform.end_worker()
    finally:
        note.ended(root)
        lock.release()


class Platform:
    """The parts of one project; call `start` once, then `look` again and again."""

    def __init__(self, root: Path, wanted: Wanted) -> None:
        self.root, self.wanted = root, wanted
        self.mark = uuid.uuid4().hex
        self.env = {**command_environment(), MARK: self.mark}
        self.parts: dict[str, Part] = {}

    def start(self, start: Start) -> None:
        """Start all that is wanted and no server elsewhere; returns when it is well."""
        before = note.read(self.root)
        urls, compare = named_servers(), ""
        self._note(before)
        if before.mark:
            # A killed supervisor's parts end by themselves; then their ports are free.
            end_left_over(before.mark)
        # Two projects that start at once do not choose the same port.
        with FileLock(Path(tempfile.gettempdir()) / f"ser-ports-{os.getuid()}.lock"):
            if "prefect" not in urls:
                port = self._port(self.wanted.prefect_port, before.prefect_api, PREFECT_PORT)
                urls["prefect"] = f"http://127.0.0.1:{port}/api"
                command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
                self._add(start, "prefect", command, {"PREFECT_UI_API_URL": urls["prefect"]})
            if "mlflow" not in urls:
                experiment_id = prepare_store(self.root)
                port = self._port(self.wanted.mlflow_port, before.mlflow, MLFLOW_PORT)
                urls["mlflow"] = f"http://127.0.0.1:{port}"
                command = [
                    *("mlflow", "server", "--port", str(port), "--workers", "1"),
                    *("--backend-store-uri", tracking_uri(self.root)),
                    *("--default-artifact-root", (self.root / "mlruns" / "artifacts").as_uri()),
                ]
                self._add(start, "mlflow", command, JOBS)
                compare = runs_url(urls["mlflow"], experiment_id)
            self._note(Note(urls["mlflow"], urls["prefect"], compare=compare))
            self._until("prefect", lambda: answers(urls["prefect"]))
            if self.wanted.worker:
                # It registers the deployments while MLflow still starts.
                name = worker_name(self.root)
                last = heartbeats(urls["prefect"]).get(name)
                command = ["flows.servers.worker", "--name", name]
                command += ["--own-server"] if "prefect" in self.parts else []
                self._add(start, "worker", command, {API_URL: urls["prefect"]})
            if self.wanted.serve:
                port = self._port(self.wanted.serve_port, before.serve, SERVE_PORT)
                urls["serve"] = f"http://127.0.0.1:{port}"
                self._add(start, "serve", ["ser.cli", "serve", "--port", str(port)], {})
                self._note(replace(note.read(self.root), serve=urls["serve"]))
            self._until("mlflow", lambda: answers(urls["mlflow"]))
        if self.wanted.worker:
            # One that was killed a moment ago is online for Prefect, too.
            seen = (None, last)
            self._until("worker", lambda: heartbeats(urls["prefect"]).get(name) not in seen)
        if self.wanted.serve:
            self._until("serve", lambda: answers(urls["serve"]))
        self._note(note.read(self.root), ready=True)

    def look(self, start: Start) -> None:
        """Start again what has ended by itself, at once and then less and less often."""
        for part in self.parts.values():
            if not part.has_ended:
                continue
            now = time.monotonic()
            if part.due is None:
                part.pause = FIRST_PAUSE if now - part.since > STEADY else part.pause
                part.due = now + part.pause
                status = part.process.returncode if part.process else None
                log(
                    f"{part.name} ended by itself (status {status}; see "
                    f"{log_of(self.root, part.name)}); it is started again in {part.pause:.0f} s."
                )
                part.pause = min(2 * part.pause, LONGEST_PAUSE)
            elif now >= part.due:
                # Where its guard was killed, the rest of it may still hold the port.
                end_marked(MARK, part.env[MARK])
                part.start(start, self.root)

    def end_worker(self) -> None:
        """End the worker before the servers: they record that its flow runs crashed."""
        worker = self.parts.get("worker")
        if worker and worker.process and not worker.has_ended:
            worker.process.terminate()
            worker.process.wait()

    def _add(self, start: Start, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        options = OPTIONS.get(name, {})
        part = Part(name, command, {**self.env, **env, MARK: f"{self.mark}.{name}"}, options)
        self.parts[name] = part
        part.start(start, self.root)

    def _port(self, asked: int, url_before: str, usual: int) -> int:
        return free_port(asked or urlsplit(url_before).port or usual)

    def _until(self, name: str, is_well: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not is_well():
            for part in self.parts.values():
                if part.has_ended or (part.name == name and time.monotonic() > deadline):
                    raise StageError(self._failure(part))
            time.sleep(LOOK)

    def _failure(self, part: Part) -> str:
        log = log_of(self.root, part.name)
        if error := last_error(log):
            return f"{part.name} did not start, see {log}: {error}"
        named_by = NAMED_BY.get(part.name)
        remedy = f" Name a running server with {named_by} to do without it." if named_by else ""
        return f"{part.name} did not start; its log is {log}.{remedy}"

    def _note(self, addresses: Note, *, ready: bool = False) -> None:
        note.write(
            self.root,
            replace(
                addresses,
                pid=os.getpid(),
                started=note.start_of(os.getpid()),
                mark=self.mark,
                ready=ready,
                worker=worker_name(self.root) if self.wanted.worker else "",
                store=shown_uri(self.root),
            ),
        )


def last_error(log: Path) -> str:
    """The last line of a log that is one of our errors; "" where there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((x.removeprefix(ERROR) for x in reversed(lines) if x.startswith(ERROR)), "")


def log(text: str) -> None:
    """A line of the supervisor's own log."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {text}", flush=True)
