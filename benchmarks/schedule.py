"""The schedule for real: ticks that fire by themselves, and what a kill in mid-training leaves.

In a clone of the last commit, with a server and a worker as README.md starts them, on the
embedded corpus. The worker is started in the background by a shell, which hands it an ignored
Ctrl-C. Takes about two minutes a case.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import page
from flows.processes.environment import QUIET
from flows.processes.server import answers, free_port
from ser.project import CHECKPOINTS

MARK = "SER_SCHEDULE_BENCHMARK"
CASES = {
    "SIGTERM to the worker": ("worker", signal.SIGTERM),
    "SIGKILL to the worker": ("worker", signal.SIGKILL),
    "SIGTERM to the flow run": ("engine", signal.SIGTERM),
    "SIGKILL to the flow run": ("engine", signal.SIGKILL),
    "SIGKILL to both at once": ("both", signal.SIGKILL),
}
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
#: Seconds within which anything must happen, or the benchmark gives up.
PATIENCE = 1800.0
TREE = """
import subprocess, sys
from pathlib import Path
from flows.processes.streamed import run_streamed
code = "import subprocess; [subprocess.Popen(['sh', '-c', 'setsid sleep 60 & sleep 60'], \
start_new_session=i % 2) for i in range(4)]; print('ready', flush=True); import time; \
time.sleep(60)"
import os
run_streamed([sys.executable, "-c", code], cwd=Path.cwd(), env=os.environ, on_line=print)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=3, help="that must fire (default: 3)")
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--epochs", type=int, default=300, help="of each training (default: 300)")
    parser.add_argument("--kills", type=int, default=46, help="of a flow's process (default: 46)")
    options = parser.parse_args()
    # A plain `kill` must leave no server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows = []
    with tempfile.TemporaryDirectory(prefix="ser-schedule-") as folder:
        left, slowest = _kill_trees(options.kills, Path(folder))
        with _server(Path(folder)) as url:
            place = Place(_clone(Path(folder)), url, uuid.uuid4().hex)
            place.set_params(options.epochs)
            place.start_worker()
            try:
                ticks: list[dict[str, Any]] = []
                while len(ticks) < options.ticks:
                    ticks.append(_wait_for_end(place, after=[t["id"] for t in ticks]))
                states = ", ".join(t["state_name"] for t in ticks)
                print(f"ticks: {states}", flush=True)
                for number, name in enumerate(options.case or CASES, start=1):
                    rows.append(_case(place, name, learning_rate=0.004 + number / 10_000))
                    print(rows[-1], flush=True)
            finally:
                place.stop_worker()
    page.write(
        "schedule",
        title="The schedule: ticks, and kills in mid-training",
        body=f"""
A cron of one minute, {len(ticks)} ticks by themselves: {states}.

{
            page.table(
                [
                    "what",
                    "processes hit",
                    "seconds until none is left",
                    "flow run",
                    "seconds until it says so",
                    "next tick",
                ],
                rows,
            )
        }

SIGKILL to a flow's process alone, at {options.kills} random moments of a tree of thirteen processes
in six sessions: {left} left after ten seconds; the last one ended after at most {slowest:.1f} s.
""",
    )


@dataclass
class Place:
    """A clone, its server's address, and the mark of all processes that its worker starts."""

    root: Path
    url: str
    mark: str
    worker: int = 0

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        source = f"{self.root / 'src'}{os.pathsep}{self.root}"
        own = {"PREFECT_API_URL": self.url, "PATH": path, "PYTHONPATH": source, MARK: self.mark}
        given = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
        return {**given, **QUIET, **own}

    def set_params(self, epochs: int, learning_rate: float = 0.005) -> None:
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params["synthetic"] |= {"speakers": 6, "sentences": 2}
        params["augment"]["versions"] = 0
        params["evaluate"]["bootstrap"] = 100
        params["abstention"]["max_novelty_percentile"] = None
        params["train"]["max_epochs"] = epochs
        params["train"]["learning_rate"] = learning_rate
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def start_worker(self) -> None:
        log = self.root.parent / "worker.log"
        started = subprocess.run(
            [
                "sh",
                "-c",
                f'"$1" -m flows.servers.worker >>"{log}" 2>&1 & echo $!',
                "sh",
                sys.executable,
            ],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        self.worker = int(started.stdout)

    def stop_worker(self) -> None:
        os.kill(self.worker, signal.SIGTERM)
        _until(lambda: not self.processes(), "the worker's end")

    def processes(self, run: str | None = None) -> dict[int, str]:
        """Command lines of the processes that carry the mark, by process id; those of one flow
        run, where `run` names it."""
        marks = [f"{MARK}={self.mark}", *([f"PREFECT__FLOW_RUN_ID={run}"] if run else [])]
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                environment = (folder / "environ").read_bytes()
                if all(mark.encode() in environment for mark in marks):
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = words
        return found

    def api(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{path}", data, {"Content-Type": "application/json"}
        )
        ask = partial(urllib.request.urlopen, request)
        # A machine that trains may keep its server waiting: that is not what is measured.
        for patience in (20, 60, 180):
            with suppress(TimeoutError), ask(timeout=patience) as answer:
                return json.load(answer)
        raise TimeoutError(f"{self.url}/{path} does not answer.")

    def runs(self, *states: str) -> list[dict[str, Any]]:
        body = {
            "flow_runs": {"state": {"type": {"any_": list(states)}}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return list(self.api("flow_runs/filter", body))


def _case(place: Place, name: str, *, learning_rate: float) -> list[object]:
    target, sign = CASES[name]
    params = yaml.safe_load((place.root / "params.yaml").read_text())
    started = time.time()
    place.set_params(params["train"]["max_epochs"], learning_rate)
    engine = _until(lambda: _engine_in_training(place, started), "a training to hit")
    environment = Path(f"/proc/{engine}/environ").read_bytes().decode()
    run = re.search(r"PREFECT__FLOW_RUN_ID=([0-9a-f-]+)", environment)[1]  # type: ignore[index]
    # A worker that lives on starts the next tick at once: only the killed run's processes count.
    struck_run = run if target == "engine" else None
    hit = len(place.processes(struck_run))
    before = {r["id"] for r in place.runs(*FINAL)} | {run}
    struck = time.monotonic()
    for pid in {"worker": [place.worker], "engine": [engine]}.get(target, [place.worker, engine]):
        os.kill(pid, sign)
    gone = said = None
    while gone is None or said is None:
        took = time.monotonic() - struck
        if gone is None and not place.processes(struck_run):
            gone = took
        state = place.api(f"flow_runs/{run}")
        if said is None and state["state_type"] in FINAL:
            said = took
        if took > PATIENCE:
            break
        time.sleep(0.2)
    if target != "engine":
        place.start_worker()
    after = _wait_for_end(place, after=before)
    return [name, hit, gone or "never", state["state_name"], said or "never", after["state_name"]]


def _engine_in_training(place: Place, started: float) -> int | None:
    """The flow run's process, once networks have written a checkpoint since `started`."""
    written = 0.0
    for file in (place.root / CHECKPOINTS).rglob("*"):
        with suppress(OSError):
            written = max(written, file.stat().st_mtime)
    if written < started:
        return None
    processes = place.processes()
    trains = any("ser.stages.train" in words for words in processes.values())
    engines = [pid for pid, words in processes.items() if "prefect.engine" in words]
    return engines[0] if trains and engines else None


def _wait_for_end(place: Place, *, after: Any) -> dict[str, Any]:
    """The first run beyond `after` that ended and was not cancelled beside another."""

    def ended() -> dict[str, Any] | None:
        runs = place.runs("COMPLETED", "FAILED", "CRASHED")
        return next((run for run in runs if run["id"] not in set(after)), None)

    return _until(ended, "a tick to end")


def _until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    sys.exit(f"error: Waited {PATIENCE:.0f} s for {what} in vain.")


def _clone(folder: Path) -> Path:
    root = folder / "project"
    subprocess.run(["git", "clone", "--quiet", str(page.ROOT), str(root)], check=True)
    text = (root / "prefect.yaml").read_text()
    (root / "prefect.yaml").write_text(text.replace('"0 3 * * *"', '"* * * * *"'))
    return root


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    port = free_port(4200)
    url = f"http://127.0.0.1:{port}/api"
    env = {**os.environ, **QUIET, "PREFECT_HOME": str(folder / "prefect")}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            env={**env, "PREFECT_UI_API_URL": url},
            stdout=log,
            stderr=log,
        )
    try:
        _until(lambda: answers(url), "Prefect's server")
        yield url
    finally:
        server.terminate()
        server.wait()


def _kill_trees(times: int, folder: Path) -> tuple[int, float]:
    """Processes left by SIGKILL to the root of a tree, at random moments; the slowest end, s."""
    left, slowest = 0, 0.0
    chance = random.Random(7)
    for _ in range(times):
        place = Place(folder, "", uuid.uuid4().hex)
        env = {**os.environ, MARK: place.mark, "PYTHONPATH": f"{page.ROOT}:{page.ROOT / 'src'}"}
        process = subprocess.Popen(
            [sys.executable, "-c", TREE], env=env, stdout=subprocess.DEVNULL, cwd=folder
        )
        time.sleep(chance.uniform(0.0, 1.5))
        process.kill()
        process.wait()
        killed = time.monotonic()
        while place.processes() and time.monotonic() - killed < 15:
            time.sleep(0.05)
        left += len(place.processes())
        slowest = max(slowest, time.monotonic() - killed)
    return left, slowest


if __name__ == "__main__":
    main()
