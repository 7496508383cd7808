"""A deployed schedule fires, on a real server and with a real worker, and ends truly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.processes.environment import QUIET
from flows.processes.server import answers, free_port

ROOT = Path(__file__).parents[2]
#: A tick that ends at once or, where the file `train` is, in a training that never ends.
FLOW = """
import os, sys
from pathlib import Path
from prefect import flow
from flows.processes.streamed import run_streamed
from flows.processes.supervision import supervise, watch_heartbeats

@flow(name="retrain")
def retrain(root: str = ".") -> None:
    supervise()
    watch_heartbeats()
    if Path("train").exists():
        code = "import os, time; open('training', 'w').write(str(os.getpid())); time.sleep(600)"
        run_streamed([sys.executable, "-c", code], cwd=Path.cwd(), env=os.environ, on_line=print)
"""
# The product's own pace is made for nights, not for tests.
PACE = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "3",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
}
PATIENCE = 180.0
DEAD_PROXY = "http://127.0.0.1:9"


class Schedule:
    """A server, a project that a worker runs every few seconds, and what the server records."""

    def __init__(self, root: Path, url: str, worker: subprocess.Popen[bytes]) -> None:
        self.root, self.url, self.worker = root, url, worker

    def api(self, path: str, body: object) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def runs(self, state: str) -> list[dict[str, Any]]:
        wanted = {"state": {"type": {"any_": [state]}}}
        return list(self.api("flow_runs/filter", {"flow_runs": wanted}))

    def until(self, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.1)
        pytest.fail((self.root / "worker.log").read_text()[-3000:])


def start(command: list[str], env: dict[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=cwd,
            env=env,
            stdout=out,
            stderr=out,
            # As a script starts what it puts into the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )


@pytest.fixture(scope="module")
def schedule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schedule]:
    root = tmp_path_factory.mktemp("schedule")
    (root / "nightly.py").write_text(FLOW)
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    deployed["deployments"][0] |= {
        "entrypoint": "nightly.py:retrain",
        "schedules": [{"interval": 5, "active": True}],
    }
    (root / "prefect.yaml").write_text(yaml.safe_dump(deployed))
    url = f"http://127.0.0.1:{free_port()}/api"
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_T"))}
    env = {
        **given,
        **QUIET,
        **PACE,
        "PREFECT_HOME": str(root / "prefect"),
        "PREFECT_API_URL": url,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    port = url.rpartition(":")[2].removesuffix("/api")
    command = ["prefect", "server", "start", "--port", port]
    server = start(command, env, root / "server.log", root)
    worker = None
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(url):
            assert server.poll() is None, (root / "server.log").read_text()
            assert time.monotonic() < deadline, (root / "server.log").read_text()
            time.sleep(0.1)
        # A proxy that is set, and dead, must not come between worker, run and server.
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), DEAD_PROXY)
        proxied = {**env, **proxies, "no_proxy": "", "NO_PROXY": ""}
        worker = start(["flows.worker"], proxied, root / "worker.log", root)
        schedule = Schedule(root, url, worker)
        # Before a test kills the worker.
        schedule.until(lambda: schedule.runs("COMPLETED"))
        yield schedule
    finally:
        for process in (worker, server):
            if process is not None:
                process.terminate()
                process.wait()


def test_a_deployed_schedule_fires_by_itself_and_its_run_ends_completed(
    schedule: Schedule,
) -> None:
    runs = schedule.runs("COMPLETED")

    assert runs[0]["auto_scheduled"]
    assert runs[0]["deployment_id"]


def test_a_killed_worker_leaves_neither_a_training_nor_a_run_that_seems_to_go_on(
    schedule: Schedule,
) -> None:
    (schedule.root / "train").touch()
    training = schedule.root / "training"
    pid = int(schedule.until(lambda: training.exists() and training.read_text()))
    (run,) = schedule.runs("RUNNING")

    schedule.worker.kill()

    schedule.until(lambda: run["id"] in {r["id"] for r in schedule.runs("CRASHED")})
    schedule.until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_server_watches_the_heartbeat_of_scheduled_runs(schedule: Schedule) -> None:
    """Worker and run may be killed at once; only the server is left to notice it."""
    (watch,) = schedule.api("automations/filter", {})

    assert watch["enabled"]
    assert watch["trigger"]["posture"] == "Proactive"
    assert {a["type"] for a in watch["actions"]} == {"change-flow-run-state"}
