"""PostgreSQL behind MLflow and Prefect: a cluster of Debian's server that lasts as long as a block.

with postgresql() as servers:
    subprocess.run([…, "-m", "flows.retrain"], env={**os.environ, **servers.env})
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from flows.processes.environment import command_environment
from flows.processes.guard import guards
from flows.processes.server import API_URL, free_port, start_server, wait_for
from ser.io.tracking.address import VARIABLE

#: Where Debian's packages put the server's own commands.
DEBIAN = Path("/usr/lib/postgresql")
USER, DATABASES = "ser", ("mlflow", "prefect")
#: PostgreSQL refuses to run as root; then it runs as this user.
ACCOUNT = "postgres"
PATIENCE = 60.0


@dataclass
class Servers:
    """The servers' addresses; each server can be killed and started again.

    database : the cluster's port. root : databases, artifacts and logs (`.ser/logs`).
    """

    root: Path
    database: int
    mlflow: int
    prefect: int
    _lives: dict[str, ExitStack] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[Any]] = field(default_factory=dict)

    @property
    def mlflow_uri(self) -> str:
        return f"http://127.0.0.1:{self.mlflow}"

    @property
    def prefect_api(self) -> str:
        return f"http://127.0.0.1:{self.prefect}/api"

    @property
    def env(self) -> dict[str, str]:
        """What a flow needs to use these servers."""
        return {VARIABLE: self.mlflow_uri, API_URL: self.prefect_api}

    def start(self, *names: str) -> None:
        """Start the servers of these names, "mlflow" and "prefect"; return when they answer."""
        for name in names:
            self._lives[name] = ExitStack()
            start = self._lives[name].enter_context(guards())
            self._processes[name] = start_server(
                start,
                name,
                self._command(name),
                root=self.root,
                env=self._environment(),
                again=True,
            )
        urls = {"mlflow": self.mlflow_uri, "prefect": self.prefect_api}
        wait_for(
            {name: self._processes[name] for name in names},
            [urls[name] for name in names],
            self.root,
        )

    def stop(self, *names: str) -> None:
        """End them in order, as they are asked to."""
        for name in names:
            self._lives.pop(name).close()

    def kill(self, *names: str) -> None:
        """SIGKILL to all processes of these servers."""
        for name in names:
            for process in self.processes(name):
                process.kill()
            self.stop(name)

    def processes(self, name: str) -> list[psutil.Process]:
        """All processes of a server."""
        guard = psutil.Process(self._processes[name].pid)
        return [*guard.children(recursive=True), guard]

    def _command(self, name: str) -> Sequence[str]:
        if name == "prefect":
            return (
                "prefect",
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                str(self.prefect),
            )
        return (
            *("mlflow", "server", "--port", str(self.mlflow), "--workers", "1"),
            *("--backend-store-uri", f"postgresql://{USER}@127.0.0.1:{self.database}/mlflow"),
            *("--artifacts-destination", str(self.root / "artifacts")),
        )

    def _environment(self) -> dict[str, str]:
        database = f"postgresql+asyncpg://{USER}@127.0.0.1:{self.database}/prefect"
        given = {k: v for k, v in command_environment().items() if k not in (VARIABLE, API_URL)}
        return {
            **given,
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_HOME": str(self.root / "prefect"),
            "PREFECT_UI_API_URL": self.prefect_api,
            # Eight processes more, for jobs of language models.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }


@contextmanager
def postgresql() -> Iterator[Servers]:
    """Both servers on a new cluster; all of it ends, and is removed, with the block.

    It ends with this process, too, of SIGKILL as well. Debian: `apt-get install postgresql`;
    MLflow's driver is psycopg2.
    """
    folder = Path(tempfile.mkdtemp(prefix="ser-postgresql-"))
    try:
        with ExitStack() as stack:
            port = _cluster(stack, folder)
            servers = Servers(folder, port, free_port(5600), free_port(4800))
            stack.callback(lambda: servers.stop(*list(servers._lives)))
            servers.start("mlflow", "prefect")
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cluster(stack: ExitStack, folder: Path) -> int:
    """A cluster in `folder` with our user and databases, which runs; its port."""
    binaries = max(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), default=None)
    if binaries is None:
        raise SystemExit(f"error: No PostgreSQL in {DEBIAN}: `apt-get install postgresql`.")
    data, port = folder / "cluster", free_port(5500)
    data.mkdir(mode=0o700)
    as_user: list[str] = []
    if os.geteuid() == 0:
        folder.chmod(0o755)
        shutil.chown(data, ACCOUNT, ACCOUNT)
        # Not `runuser`, which stays in between: signals would not reach the server.
        as_user = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--init-groups"]
    command = [str(binaries / "initdb"), "--username", USER, "--auth", "trust", "-D", str(data)]
    _run([*as_user, *command, "--encoding", "UTF8", "--locale", "C.UTF-8"], cwd=folder)
    server = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", ""]
    start = stack.enter_context(guards())
    with (folder / "postgresql.log").open("wb") as log:
        start([*as_user, *server], cwd=folder, stdout=log, stderr=log)
    at = ("-h", "127.0.0.1", "-p", str(port))
    deadline = time.monotonic() + PATIENCE
    while subprocess.run([binaries / "pg_isready", "-q", *at]).returncode:
        if time.monotonic() > deadline:
            raise SystemExit(f"error: {(folder / 'postgresql.log').read_text().strip()}")
        time.sleep(0.1)
    for database in DATABASES:
        _run([str(binaries / "createdb"), *at, "-U", USER, database], cwd=folder)
    return port


def _run(command: Sequence[str], *, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {Path(command[0]).name} failed: {done.stderr.strip()}")
