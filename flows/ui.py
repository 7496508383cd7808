"""`python -m flows.ui`: MLflow and Prefect on the project's own stores, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flows.environment import command_environment, set_defaults
from flows.server import UI_FILE, answers, free_port
from ser.errors import SerError, StageError

#: Seconds until both must answer.
START_TIMEOUT = 180.0
#: Seconds that a server may take to end.
STOP_TIMEOUT = 10.0
FAILED = 1


def main() -> int:
    """Serve both user interfaces."""
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description=main.__doc__)
    parser.add_argument("--mlflow-port", type=int, default=5000)
    parser.add_argument("--prefect-port", type=int, default=4200)
    options = parser.parse_args()
    root = Path.cwd()
    set_defaults(root)
    # A plain `kill` must stop the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _serve(root, mlflow_port=options.mlflow_port, prefect_port=options.prefect_port)
    except KeyboardInterrupt:
        return 0
    except SerError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return 0


def _serve(root: Path, *, mlflow_port: int, prefect_port: int) -> None:
    from ser.io.mlflow_store import prepare_store, tracking_uri

    prepare_store(root)
    ports = {"mlflow": free_port(mlflow_port), "prefect": free_port(prefect_port)}
    mlflow, prefect = (f"http://127.0.0.1:{port}" for port in ports.values())
    artifacts = (root / "mlruns" / "artifacts").as_uri()
    commands = {
        "mlflow": [
            *("mlflow", "server", "--port", str(ports["mlflow"]), "--workers", "1"),
            *("--backend-store-uri", tracking_uri(root), "--default-artifact-root", artifacts),
        ],
        "prefect": [
            *("prefect", "server", "start"),
            *("--host", "127.0.0.1", "--port", str(ports["prefect"])),
        ],
    }
    env = {**command_environment(), "PREFECT_UI_API_URL": f"{prefect}/api"}
    env.pop("PREFECT_API_URL", None)
    servers = {name: _start(root, name, command, env) for name, command in commands.items()}
    try:
        print("Starting MLflow and Prefect …", flush=True)
        _wait(servers, {"mlflow": mlflow, "prefect": f"{prefect}/api"}, root)
        # A retraining that starts now reports to this server, so that it is seen live.
        (root / UI_FILE).write_text(
            json.dumps({"pid": os.getpid(), "prefect_api": f"{prefect}/api"})
        )
        print(f"MLflow   {mlflow}    runs, models, figures")
        print(f"Prefect  {prefect}    flow runs, schedules, reports")
        print("Ctrl-C stops both.", flush=True)
        while all(server.poll() is None for server in servers.values()):
            time.sleep(0.5)
        ended = next(name for name, server in servers.items() if server.poll() is not None)
        raise StageError(f"{ended} ended by itself; see {_log(root, ended)}.")
    finally:
        (root / UI_FILE).unlink(missing_ok=True)
        _stop(list(servers.values()))


def _start(
    root: Path, name: str, command: Sequence[str], env: dict[str, str]
) -> subprocess.Popen[bytes]:
    _log(root, name).parent.mkdir(parents=True, exist_ok=True)
    with _log(root, name).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Both have children, which end with their group.
            start_new_session=True,
        )


def _wait(servers: dict[str, subprocess.Popen[bytes]], urls: dict[str, str], root: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not all(answers(url) for url in urls.values()):
        for name, server in servers.items():
            if server.poll() is not None or time.monotonic() > deadline:
                raise StageError(f"{name} did not start; see {_log(root, name)}.")
        time.sleep(0.2)


def _stop(servers: Sequence[subprocess.Popen[bytes]]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for server in servers:
            if server.poll() is None:
                os.killpg(server.pid, sign)
        deadline = time.monotonic() + STOP_TIMEOUT
        while any(s.poll() is None for s in servers) and time.monotonic() < deadline:
            time.sleep(0.1)


def _log(root: Path, name: str) -> Path:
    return root / ".ser" / "logs" / f"{name}.log"


if __name__ == "__main__":
    sys.exit(main())
