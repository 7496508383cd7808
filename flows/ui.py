"""`python -m flows.ui`: MLflow and Prefect in the browser, until Ctrl-C.

Servers that PREFECT_API_URL and MLFLOW_TRACKING_URI name are shown; what is missing is started
on the project's own stores.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from flows.processes.environment import begin, command_environment, failed
from flows.processes.guard import guards
from flows.processes.server import (
    API_URL,
    MLFLOW_PORT,
    PREFECT_PORT,
    UI_FILE,
    answers,
    check_answers,
    free_port,
    is_prefect,
    log_of,
    mlflow_ui,
    start_server,
    user_interfaces,
    wait_for,
)
from ser.errors import SerError, StageError
from ser.files import write_json
from ser.io.tracking.address import VARIABLE, tracking_uri
from ser.io.tracking.store import prepare_store


def main() -> int:
    """Serve both user interfaces."""
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description=main.__doc__)
    parser.add_argument("--mlflow-port", type=int, help=f"default: as before, or {MLFLOW_PORT}")
    parser.add_argument("--prefect-port", type=int, default=PREFECT_PORT)
    options = parser.parse_args()
    root = begin()
    # A plain `kill` must stop the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _serve(root, mlflow_port=options.mlflow_port, prefect_port=options.prefect_port)
    except KeyboardInterrupt:
        pass
    except SerError as error:
        return failed(error)
    return 0


def _serve(root: Path, *, mlflow_port: int | None, prefect_port: int) -> None:
    shown = user_interfaces(root)
    pid = shown.get("pid")
    alive = pid is not None and psutil.pid_exists(pid)
    if alive and answers(shown["mlflow"]) and answers(shown["prefect_api"]):
        _print(shown)
        print(f"They run already, as process {pid}.")
        return
    urls = _elsewhere(root, prefect_port)
    env = {k: v for k, v in command_environment().items() if k != API_URL}
    servers: dict[str, subprocess.Popen[Any]] = {}
    with guards() as start:
        if "mlflow" not in urls:
            prepare_store(root)
            # Links in reports go on pointing to the port of the last time.
            last = urlsplit(shown.get("mlflow", "")).port
            port = free_port(mlflow_port or last or MLFLOW_PORT)
            urls["mlflow"] = f"http://127.0.0.1:{port}"
            artifacts = (root / "mlruns" / "artifacts").as_uri()
            command = [
                *("mlflow", "server", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", tracking_uri(root)),
                *("--default-artifact-root", artifacts),
            ]
            servers["mlflow"] = start_server(start, "mlflow", command, root=root, env=env)
        if "prefect_api" not in urls:
            port = free_port(prefect_port)
            urls["prefect_api"] = f"http://127.0.0.1:{port}/api"
            command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
            env["PREFECT_UI_API_URL"] = urls["prefect_api"]
            servers["prefect"] = start_server(start, "prefect", command, root=root, env=env)
        if servers:
            print(f"Starting {' and '.join(servers)} …", flush=True)
            wait_for(servers, urls.values(), root)
        _print(urls)
        if not servers:
            print("Both run elsewhere; there is nothing to start.")
            return
        # A retraining that starts now reports to this server, so that it is seen live.
        write_json({"pid": os.getpid(), **urls}, root / UI_FILE)
        try:
            print(f"Ctrl-C stops {' and '.join(servers)}.", flush=True)
            while True:
                for name, server in servers.items():
                    if server.poll() is not None:
                        raise StageError(f"{name} ended by itself; see {log_of(root, name)}.")
                time.sleep(0.5)
        finally:
            write_json({"mlflow": urls["mlflow"]}, root / UI_FILE)


def _elsewhere(root: Path, prefect_port: int) -> dict[str, str]:
    """The servers that are named by the environment, or run already where ours would."""
    urls: dict[str, str] = {}
    if os.environ.get(VARIABLE, "").startswith(("http://", "https://")):
        urls["mlflow"] = mlflow_ui(root)
        check_answers("MLflow", urls["mlflow"], VARIABLE)
    if os.environ.get(API_URL):
        urls["prefect_api"] = os.environ[API_URL].rstrip("/")
        check_answers("Prefect", urls["prefect_api"], API_URL)
    elif is_prefect(usual := f"http://127.0.0.1:{prefect_port}/api"):
        urls["prefect_api"] = usual
    return urls


def _print(urls: dict[str, Any]) -> None:
    print(f"MLflow   {urls['mlflow']}    runs, models, figures")
    print(f"Prefect  {urls['prefect_api'].removesuffix('/api')}    flow runs, schedules, reports")


if __name__ == "__main__":
    sys.exit(main())
