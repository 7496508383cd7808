"""A schedule, flows, `dvc repro` and both user interfaces on one project, all at once.

A tick each minute, flows typed by hand (some with parameters of their own), `make repro` and
`dvc repro`, and readers of MLflow's and Prefect's API; now and then params.yaml is edited, so that
there is something to train. Counted are trainings at once, and every word of a lock in any output.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks import page
from ser.io.web.quiet import QUIET

LOCKED = re.compile(r"database is locked|acquire lock|is busy|is locked", re.IGNORECASE)
UNDER_WAY = "A retraining is under way"


@dataclass
class Project:
    """A clone, and what was counted in it."""

    root: Path
    done: Counter[str] = field(default_factory=Counter)
    locks: list[str] = field(default_factory=list)
    in_logs: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    at_once: Counter[int] = field(default_factory=Counter)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        source = f"{self.root / 'src'}{os.pathsep}{self.root}"
        env = {**os.environ, **QUIET, "PATH": path, "PYTHONPATH": source}
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=self.root, env=env, capture_output=True, text=True
        )

    def act(self, name: str, *command: str) -> None:
        """Run a command, and count how it ended."""
        ended = self.run(*command)
        output = ended.stdout + ended.stderr
        if LOCKED.search(output):
            self.locks.append(f"{name}: {next(filter(LOCKED.search, output.splitlines()))}")
        if UNDER_WAY in output:
            self.done[f"{name}: gave way"] += 1
        else:
            self.done[f"{name}: status {ended.returncode}"] += 1
            if ended.returncode:
                self.failures.append(f"{name}: {output.strip().splitlines()[-1:]}")

    def set(self, **model: Any) -> None:
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params["synthetic"] |= {"speakers": 8, "sentences": 3}
        params["augment"]["versions"] = 1
        params["evaluate"]["bootstrap"] = 200
        params["model"] |= {"name": "lda"}
        params["model"]["lda"] |= model
        temporary = path.with_suffix(".new")
        temporary.write_text(yaml.safe_dump(params, sort_keys=False))
        temporary.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="(default: 30)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ser-together-") as folder:
        project = Project(Path(folder) / "project")
        subprocess.run(["git", "clone", "-q", page.ROOT, project.root], check=True)
        git = ["git", "-C", str(project.root), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        project.set(shrinkage=0.5)
        subprocess.run([*git, "commit", "-qam", "small"], check=True)
        schedule = (project.root / "prefect.yaml").read_text()
        every_minute = re.sub(r'cron: "[^"]*"', 'cron: "* * * * *"', schedule)
        (project.root / "prefect.yaml").write_text(every_minute)
        up = project.run("flows.servers.up")
        if up.returncode:
            print(up.stdout, up.stderr, file=sys.stderr)
            return 1
        try:
            runs, versions = _for_minutes(options.minutes, project)
        finally:
            project.run("flows.servers.down")
    _report(options.minutes, project, runs, versions)
    overlapped = any(count > 1 for count in project.at_once)
    return int(bool(project.locks or project.in_logs or project.failures or overlapped))


def _for_minutes(minutes: float, project: Project) -> tuple[Counter[str], int]:
    """Act at once until the time is up; flow runs by state, and how many versions there are."""
    note = json.loads((project.root / ".ser" / "up.json").read_text())
    end = time.monotonic() + 60 * minutes
    numbers = itertools.count(1)

    def flow() -> None:
        project.act("make run", "flows.retrain")
        time.sleep(45)

    def own_parameters() -> None:
        value = f"model.lda.shrinkage={0.3 + next(numbers) / 1000:.3f}"
        project.act("ser run --set", "flows.retrain", "--set", value)
        time.sleep(75)

    def repro() -> None:
        project.act("make repro", "flows.repro")
        time.sleep(40)

    def dvc_repro() -> None:
        """DVC never waits for another DVC: what it says itself is counted apart."""
        ended = project.run("dvc", "repro")
        said = LOCKED.search(ended.stdout + ended.stderr)
        how = "busy, says DVC" if said and ended.returncode else f"status {ended.returncode}"
        project.done[f"dvc repro: {how}"] += 1
        time.sleep(50)

    def edit() -> None:
        time.sleep(90)
        project.set(shrinkage=0.5 + next(numbers) / 1000)
        project.done["params.yaml edited"] += 1

    def read() -> None:
        _post(f"{note['prefect_api']}/flow_runs/filter", {"limit": 50})
        mlflow = f"{note['mlflow']}/api/2.0/mlflow"
        _post(f"{mlflow}/runs/search", {"experiment_ids": ["1"], "max_results": 50})
        urllib.request.urlopen(f"{mlflow}/model-versions/search", timeout=60).close()
        project.done["pages read"] += 1
        time.sleep(1)

    def watch() -> None:
        running = {"filter": "attributes.status = 'RUNNING'", "experiment_ids": ["1"]}
        found = _post(f"{note['mlflow']}/api/2.0/mlflow/runs/search", running)
        project.at_once[len(found.get("runs", ()))] += 1
        time.sleep(0.5)

    def again(act: Callable[[], None]) -> None:
        while time.monotonic() < end:
            try:
                act()
            except OSError as error:
                project.failures.append(f"{act.__name__}: {error}")
                time.sleep(1)

    acts = (flow, own_parameters, repro, dvc_repro, edit, read, watch)
    threads = [threading.Thread(target=again, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
    runs: Counter[str] = Counter()
    for offset in itertools.count(0, 200):
        body = {"limit": 200, "offset": offset, "flow_runs": ended}
        found = _post(f"{note['prefect_api']}/flow_runs/filter", body)
        for run in found:
            by = "tick" if run["auto_scheduled"] else "by hand"
            runs[f"{by}: {run['state_name']}"] += 1
            message = run["state"].get("message") or ""
            if LOCKED.search(message):
                project.locks.append(message)
            if run["state_type"] in ("FAILED", "CRASHED"):
                project.failures.append(f"{run['name']}: {message}")
        if len(found) < 200:
            break
    for log in (project.root / ".ser" / "logs").glob("*.log"):
        lines = Counter(filter(LOCKED.search, log.read_text().splitlines()))
        project.in_logs += [f"{log.name}: {line} ({count})" for line, count in lines.items()]
    versions = json.loads(project.run("ser.cli", "versions", "--json").stdout)
    champions = sum("champion" in version["aliases"] for version in versions)
    project.done["champions"] = champions
    return runs, len(versions)


def _post(url: str, body: object) -> Any:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _report(minutes: float, project: Project, runs: Counter[str], versions: int) -> None:
    rows = [*sorted(project.done.items()), *sorted(runs.items()), ("versions", versions)]
    looks = sum(project.at_once.values())
    rows.append(("trainings at once, the most", max(project.at_once, default=0)))
    page.write(
        "together",
        title="Ticks, flows, `make repro` and the user interfaces at once",
        body=f"""
{minutes:g} minutes, {looks} looks at MLflow's running trainings.

{page.table(["what", "count"], rows)}

Words of a lock that a person saw: {len(project.locks)}; kinds of lines in the servers' own logs:
{len(project.in_logs)}. Failures: {len(project.failures)}.

{chr(10).join(f"- {line}" for line in (*project.locks, *project.in_logs, *project.failures))}
""",
    )


if __name__ == "__main__":
    sys.exit(main())
