"""`python -m flows.ui`: MLflow and Prefect in the browser, until Ctrl-C.

Servers that PREFECT_API_URL and MLFLOW_TRACKING_URI name are shown; what is missing is started
on the project's own stores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

from flows.environment import command_environment, set_defaults
from flows.guard import guarded, lifeline
from flows.server import (
    API_URL,
    MLFLOW_PORT,
    PREFECT_PORT,
    UI_FILE,
    answers,
    free_port,
    is_prefect,
    mlflow_ui,
    user_interfaces,
)
from ser.errors import SerError, StageError
from ser.files import write_json
from ser.output import escape_unencodable, one_line

#: Seconds until both must answer.
START_TIMEOUT = 180.0
#: Seconds that a server may take to end.
STOP_TIMEOUT = 10.0
FAILED = 1


def main() -> int:
    """Serve both user interfaces."""
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description=main.__doc__)
    parser.add_argument("--mlflow-port", type=int, help=f"default: as before, or {MLFLOW_PORT}")
    parser.add_argument("--prefect-port", type=int, default=PREFECT_PORT)
    options = parser.parse_args()
    escape_unencodable()
    root = Path.cwd()
    set_defaults(root)
    # A plain `kill` must stop the servers as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _serve(root, mlflow_port=options.mlflow_port, prefect_port=options.prefect_port)
    except KeyboardInterrupt:
        return 0
    except SerError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return FAILED
    return 0


def _serve(root: Path, *, mlflow_port: int | None, prefect_port: int) -> None:
    shown, pid = user_interfaces(root), _pid(root)
    if pid and {"mlflow", "prefect_api"} <= set(shown) and all(map(answers, shown.values())):
        _print(shown)
        print(f"They run already, as process {pid}.")
        return
    urls = _elsewhere(prefect_port)
    with ExitStack() as stack:
        servers: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(_stop, servers)
        env = {k: v for k, v in command_environment().items() if k != API_URL}
        if "mlflow" not in urls:
            url, command = _mlflow(root, mlflow_port or _port(shown.get("mlflow")) or MLFLOW_PORT)
            servers["mlflow"] = _start(root, "mlflow", command, env, stack)
            urls["mlflow"] = url
        if "prefect_api" not in urls:
            port = free_port(prefect_port)
            urls["prefect_api"] = f"http://127.0.0.1:{port}/api"
            command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
            own = {**env, "PREFECT_UI_API_URL": urls["prefect_api"]}
            servers["prefect"] = _start(root, "prefect", command, own, stack)
        if servers:
            print(f"Starting {' and '.join(servers)} …", flush=True)
            _wait(servers, list(urls.values()), root)
        _print(urls)
        if not servers:
            print("Both run elsewhere; there is nothing to start.")
            return
        # A retraining that starts now reports to this server, so that it is seen live.
        _note(root, {"pid": os.getpid(), **urls})
        stack.callback(_note, root, {"mlflow": urls["mlflow"]})
        print(f"Ctrl-C stops {' and '.join(servers)}.", flush=True)
        while all(server.poll() is None for server in servers.values()):
            time.sleep(0.5)
        ended = next(name for name, server in servers.items() if server.poll() is not None)
        raise StageError(f"{ended} ended by itself; see {_log(root, ended)}.")


def _elsewhere(prefect_port: int) -> dict[str, str]:
    """The servers that are named by the environment, or run already where ours would."""
    urls: dict[str, str] = {}
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://")):
        urls["mlflow"] = mlflow_ui(Path.cwd())
        if not answers(urls["mlflow"]):
            raise StageError(
                f"No MLflow server answers at {urls['mlflow']}; start it, or unset "
                "MLFLOW_TRACKING_URI to have one started."
            )
    if os.environ.get(API_URL):
        urls["prefect_api"] = os.environ[API_URL].rstrip("/")
        if not answers(urls["prefect_api"]):
            raise StageError(
                f"No Prefect server answers at {urls['prefect_api']}; start it (`prefect server "
                f"start`), or unset {API_URL} to have one started."
            )
    elif is_prefect(usual := f"http://127.0.0.1:{prefect_port}/api"):
        urls["prefect_api"] = usual
    return urls


def _mlflow(root: Path, port: int) -> tuple[str, list[str]]:
    """Address and command of a server on the project's store."""
    from ser.io.tracking.store import prepare_store, tracking_uri

    prepare_store(root)
    port = free_port(port)
    artifacts = (root / "mlruns" / "artifacts").as_uri()
    return f"http://127.0.0.1:{port}", [
        *("mlflow", "server", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", tracking_uri(root), "--default-artifact-root", artifacts),
    ]


def _print(urls: dict[str, str]) -> None:
    print(f"MLflow   {urls['mlflow']}    runs, models, figures")
    print(f"Prefect  {urls['prefect_api'].removesuffix('/api')}    flow runs, schedules, reports")


def _note(root: Path, facts: dict[str, object]) -> None:
    write_json(facts, root / UI_FILE)


def _pid(root: Path) -> int | None:
    """The process of a `make ui` that runs in this project."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        pid = int(json.loads((root / UI_FILE).read_text())["pid"])
        os.kill(pid, 0)
        return pid
    return None


def _port(url: str | None) -> int | None:
    """The port of the last time: links in reports go on pointing there."""
    return urlsplit(url).port if url else None


def _start(
    root: Path, name: str, command: Sequence[str], env: dict[str, str], stack: ExitStack
) -> subprocess.Popen[bytes]:
    _log(root, name).parent.mkdir(parents=True, exist_ok=True)
    alive = stack.enter_context(lifeline())
    with _log(root, name).open("wb") as log:
        return subprocess.Popen(
            guarded([sys.executable, "-m", *command], grace=STOP_TIMEOUT),
            cwd=root,
            env=env,
            stdin=alive,
            stdout=log,
            stderr=log,
            # Ctrl-C comes to this process, which stops them.
            start_new_session=True,
        )


def _wait(servers: dict[str, subprocess.Popen[bytes]], urls: list[str], root: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not all(answers(url) for url in urls):
        for name, server in servers.items():
            if server.poll() is not None or time.monotonic() > deadline:
                raise StageError(f"{name} did not start; see {_log(root, name)}.")
        time.sleep(0.2)


def _stop(servers: dict[str, subprocess.Popen[bytes]]) -> None:
    for server in servers.values():
        server.terminate()
    for server in servers.values():
        server.wait()


def _log(root: Path, name: str) -> Path:
    return root / ".ser" / "logs" / f"{name}.log"


if __name__ == "__main__":
    sys.exit(main())
