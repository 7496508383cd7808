"""`ser serve` as a process of its own, in an empty project, on a port that is free."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).parents[2]
READY = re.compile(r"^Ready at (http://\S+) ", re.MULTILINE)
WAITS = re.compile(r"^Waits at (http://\S+) ", re.MULTILINE)
START_SECONDS, STOP_SECONDS = 120.0, 40.0


@dataclass(frozen=True)
class Server:
    """A server that runs. address : `http://host:port`. folder : where it was started."""

    process: subprocess.Popen[bytes]
    address: str
    folder: Path
    token: str | None = None

    @property
    def host_port(self) -> str:
        return self.address.removeprefix("http://")

    @property
    def stream_url(self) -> str:
        return f"ws://{self.host_port}/v1/stream"

    @property
    def inbox(self) -> Path:
        """Where corrections are kept."""
        return self.folder / "data/inbox"

    @property
    def log(self) -> str:
        """Its log up to now: a JSON object each line."""
        return (self.folder / "stdout.txt").read_text()

    @property
    def errors(self) -> str:
        """Its standard error up to now."""
        return (self.folder / "stderr.txt").read_text()

    def client(self, **options: Any) -> httpx.Client:
        """A client of its own address, with the token where it wants one."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(
            base_url=self.address, headers=headers, timeout=60, trust_env=False, **options
        )


@contextmanager
def serving(
    bundle: Path | None,
    folder: Path,
    *,
    token: str | None = None,
    workers: int = 1,
    ready: bool = True,
    **settings: Any,
) -> Iterator[Server]:
    """Serve a bundle, None for the champion, from start to stop; `folder` becomes its project.

    ready : False: yield where it waits for a model. settings : of the section `serve` of
    params.yaml: `limits={"idle_seconds": 1}`. Raises
    AssertionError, with what the server printed, where it is not ready in two minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    section = params.get("serve") or {}
    for name, value in settings.items():
        old = section.get(name)
        section[name] = {**old, **value} if isinstance(old, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump({**params, "serve": section}))
    # What makes a folder a project's root.
    (folder / "dvc.yaml").write_text("stages: {}\n")
    with started(bundle, folder, token=token, workers=workers) as process:
        yield Server(process, _address(process, folder, READY if ready else WAITS), folder, token)


@contextmanager
def started(
    bundle: Path | None, folder: Path, *, token: str | None = None, workers: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    """The process alone, which may not be ready yet; it is stopped in the end."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    environment.pop("SER_SERVE_TOKEN", None)
    environment.pop("MLFLOW_TRACKING_URI", None)
    if token is not None:
        environment["SER_SERVE_TOKEN"] = token
    command = [sys.executable, "-m", "ser.cli", "serve"]
    command += ["--model", str(bundle.resolve())] if bundle else []
    options = ["--host", "127.0.0.1", "--port", "0", "--workers", str(workers)]
    with open(folder / "stdout.txt", "wb") as out, open(folder / "stderr.txt", "wb") as err:
        process = subprocess.Popen(
            [*command, *options], cwd=folder, env=environment, stdout=out, stderr=err
        )
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask it to stop, as a service manager does; its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def _address(process: subprocess.Popen[bytes], folder: Path, line: re.Pattern[str]) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        printed = (folder / "stderr.txt").read_text()
        if found := line.search(printed):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    status = process.poll()
    log = (folder / "stdout.txt").read_text()
    raise AssertionError(
        f"ser serve is not ready (exit status {status}):\n{printed[-4000:]}\n{log[-4000:]}"
    )
