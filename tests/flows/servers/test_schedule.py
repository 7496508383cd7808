"""`make up`: a deployed schedule fires, on real servers and with a real worker, and ends truly.

The tests are in the order of a day: the last ones kill the platform, and end it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import yaml

from flows.events import KINDS, RESOURCE, RETRAIN
from flows.processes import note, prefect_api
from flows.processes.marks import marked
from flows.processes.note import Note
from flows.processes.supervision import AUTOMATION
from flows.servers.services import MARK, health, left_over

ROOT = Path(__file__).parents[3]
#: A tick that ends at once or, where the file `train` is, in a training that never ends.
FLOW = """
import os, sys
from pathlib import Path
from prefect import flow
from flows.processes.streamed import run_streamed
from flows.processes.supervision import supervise, watch_heartbeats

@flow(name="retrain")
def retrain(root: str = ".", reason: str = "") -> None:
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


class Platform:
    """A project whose schedule fires every few seconds, its servers, and what Prefect records."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root, self.env = root, env

    def start(self, module: str, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", f"flows.servers.{module}", *options],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As a script starts what it puts into the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )

    def run(self, module: str, *options: str) -> str:
        process = self.start(module, *options)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        return output

    @property
    def note(self) -> Note:
        return note.read(self.root)

    def process(self, words: str) -> psutil.Process:
        return self.until(lambda: self.find(words))

    def find(self, words: str) -> psutil.Process | None:
        """What was started with these words in its command line, and not its guard."""
        for process in marked(MARK, self.note.mark):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if words in line and "guard.py" not in line:
                    return process
        return None

    def api(self, path: str, body: object) -> Any:
        return prefect_api.post(self.note.prefect_api, path, body)

    def emit(self, events: list[dict[str, Any]]) -> None:
        httpx.post(f"{self.note.prefect_api}/events", json=events, timeout=30).raise_for_status()

    def runs(self, state: str) -> list[dict[str, Any]]:
        wanted = {"state": {"type": {"any_": [state]}}}
        return list(self.api("flow_runs/filter", {"flow_runs": wanted}))

    def until(self, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.1)
        logs = (self.root / ".ser/logs").glob("*.log")
        pytest.fail("\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in logs))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    root = tmp_path_factory.mktemp("schedule")
    (root / "nightly.py").write_text(FLOW)
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(ROOT / "dvc.yaml", root)
    deployed = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    # The watch would need a champion.
    deployed["deployments"] = deployed["deployments"][:1]
    deployed["deployments"][0] |= {
        "entrypoint": "nightly.py:retrain",
        "schedules": [{"interval": 5, "active": True}],
    }
    (root / "prefect.yaml").write_text(yaml.safe_dump(deployed))
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_T"))}
    # A proxy that is set, and dead, must not come between worker, run and servers.
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), DEAD_PROXY)
    env = {
        **given,
        **PACE,
        **proxies,
        "no_proxy": "",
        "NO_PROXY": "",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    platform = Platform(root, env)
    try:
        # Two at once.
        calls = [platform.start("up"), platform.start("up")]
        outputs = [call.communicate(timeout=2 * PATIENCE)[0] for call in calls]
        assert [call.returncode for call in calls] == [0, 0], outputs
        # Before a test kills the worker.
        platform.until(lambda: platform.runs("COMPLETED"))
        yield platform
    finally:
        platform.run("down")


def test_up_a_second_time_prints_the_same_addresses_and_starts_nothing(platform: Platform) -> None:
    before = platform.note
    output = platform.run("up")

    assert before.mlflow in output
    assert before.prefect_api.removesuffix("/api") in output
    assert f"already in the background, as process {before.pid}" in output
    assert platform.note == before


def test_a_deployed_schedule_fires_by_itself_and_its_run_ends_completed(
    platform: Platform,
) -> None:
    runs = platform.runs("COMPLETED")

    assert runs[0]["auto_scheduled"]
    assert runs[0]["deployment_id"]


def test_a_killed_worker_leaves_neither_a_training_nor_a_run_that_seems_to_go_on(
    platform: Platform,
) -> None:
    (platform.root / "train").touch()
    training = platform.root / "training"
    pid = int(platform.until(lambda: training.exists() and training.read_text()))
    (run,) = platform.runs("RUNNING")

    platform.process("prefect worker").kill()

    platform.until(lambda: run["id"] in {r["id"] for r in platform.runs("CRASHED")})
    platform.until(lambda: not Path(f"/proc/{pid}").exists())
    (platform.root / "train").unlink()


def test_the_server_watches_the_heartbeat_of_scheduled_runs(platform: Platform) -> None:
    """Worker and run may be killed at once; only the server is left to notice it."""
    named = {"automations": {"name": {"any_": [AUTOMATION]}}}
    (watch,) = platform.api("automations/filter", named)

    assert watch["enabled"]
    assert watch["trigger"]["posture"] == "Proactive"
    assert {a["type"] for a in watch["actions"]} == {"change-flow-run-state"}


def test_what_was_killed_is_started_again(platform: Platform) -> None:
    platform.process("mlflow server").kill()

    log = platform.root / ".ser/logs/up.log"
    platform.until(lambda: "mlflow ended by itself" in log.read_text())
    platform.until(lambda: all(health(platform.note).values()))
    assert platform.process("prefect worker")


def test_status_shows_the_last_ticks_the_next_one_and_what_runs(platform: Platform) -> None:
    facts = json.loads(platform.run("status", "--json"))

    # Not those that are scheduled ahead.
    assert "Scheduled" not in {tick["outcome"] for tick in facts["ticks"]}
    assert {tick["by"] for tick in facts["ticks"]} == {"schedule"}
    assert facts["next_tick"]
    assert facts["deployments"][0] == {
        "name": "nightly",
        "paused": False,
        "schedules": ["every 5 s"],
    }
    assert facts["mlflow"]["answers"]
    assert facts["worker"]["online"]
    assert facts["champion"] is None


def test_one_event_of_drift_starts_one_retraining_that_says_why(platform: Platform) -> None:
    def event(summary: str, retrain: str) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": KINDS["drift"][0],
            "resource": {"prefect.resource.id": RESOURCE, RETRAIN: retrain},
            "payload": {"summary": summary},
        }

    def because(reason: str) -> list[dict[str, Any]]:
        runs = platform.runs("COMPLETED")
        return [run for run in runs if run["parameters"].get("reason") == reason]

    told, asked = "Drift that is told alone.", "Drift in all answers: bandwidth."
    platform.emit([event(told, "false"), event(asked, "true")])
    platform.until(lambda: because(asked))
    # Long enough for another one.
    time.sleep(8)
    assert len(because(asked)) == 1
    assert because(told) == []


def test_a_schedule_that_was_paused_in_prefect_stays_paused_when_the_worker_starts_again(
    platform: Platform,
) -> None:
    (deployment,) = prefect_api.deployments(platform.note.prefect_api)
    platform.api(f"deployments/{deployment['id']}/pause_deployment", {})
    before = platform.process("prefect worker")
    before.kill()

    platform.until(lambda: (found := platform.find("prefect worker")) and found != before)
    (again,) = prefect_api.deployments(platform.note.prefect_api)
    assert again["paused"]
    assert again["updated"] > deployment["updated"]
    platform.api(f"deployments/{deployment['id']}/resume_deployment", {})


def test_nothing_outlives_a_killed_supervisor_and_up_finds_the_same_ports_and_stores(
    platform: Platform,
) -> None:
    before = platform.note
    (platform.root / "training").unlink()
    (platform.root / "train").touch()
    platform.until((platform.root / "training").exists)
    (run,) = platform.runs("RUNNING")
    psutil.Process(before.pid).kill()

    platform.until(lambda: not left_over(before.mark))
    (platform.root / "train").unlink()
    assert "Starting" in platform.run("up")
    assert (platform.note.mlflow, platform.note.prefect_api) == (before.mlflow, before.prefect_api)
    assert run["id"] in {r["id"] for r in platform.runs("CRASHED")}
    done = len(platform.runs("COMPLETED"))
    platform.until(lambda: len(platform.runs("COMPLETED")) > done)


def test_down_leaves_nothing(platform: Platform) -> None:
    before = platform.note
    output = platform.run("down")

    assert "Ended: MLflow, Prefect, the server and the worker" in output
    assert not left_over(before.mark)
    assert not note.is_process(before.pid, before.started)
    assert note.running(platform.root) is None
    assert platform.run("down") == "Nothing runs here.\n"
    assert "down; `ser up` starts it" in platform.run("status")
