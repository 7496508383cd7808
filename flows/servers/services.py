"""What runs here and how it is: servers, worker, and what Prefect says of the schedule."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from flows.processes import guard, note, prefect_api
from flows.processes.marks import end_marked, marked
from flows.processes.note import Note
from flows.processes.server import API_URL, answers, mlflow_ui, named_mlflow
from ser.errors import StageError
from ser.io.tracking.address import shown_uri

#: Marks every process that the platform starts, so that all of them can be found.
MARK = "SER_PLATFORM"
#: Seconds that guards may take to end what a killed supervisor has left.
PATIENCE = 60.0
#: Flow runs that are shown.
TICKS = 5
Facts = dict[str, Any]


def worker_name(root: Path) -> str:
    """A worker's name in Prefect: the machine, and the folder of the project."""
    return re.sub(r"[/%&<>]", "-", f"{socket.gethostname()} {root.name}")


def heartbeats(url: str) -> dict[str, str]:
    """The last heartbeat of each worker that is online, by name; times are of Prefect's clock."""
    # The pool may not be there yet.
    with suppress(StageError):
        return {
            worker["name"]: worker["last_heartbeat_time"]
            for worker in prefect_api.workers(url)
            if worker["status"] == "ONLINE"
        }
    return {}


def health(running: Note) -> dict[str, bool]:
    """Whether each part of the platform answers, or is online."""
    prefect = answers(running.prefect_api)
    found = {"mlflow": answers(running.mlflow), "prefect": prefect}
    if running.serve:
        found["serve"] = answers(running.serve)
    if running.worker:
        found["worker"] = prefect and running.worker in heartbeats(running.prefect_api)
    return found


def left_over(mark: str) -> list[int]:
    """Numbers of the processes that a platform of that mark has started, and that still run."""
    return [process.pid for process in marked(MARK, mark)] if mark else []


def end_left_over(mark: str) -> None:
    """End what a killed supervisor of that mark has left, and wait until it is gone.

    Guards that live do so by themselves, in order; what has lost its guard is ended here.
    """
    deadline = time.monotonic() + PATIENCE
    while any(map(_is_guard, marked(MARK, mark))) and time.monotonic() < deadline:
        time.sleep(0.1)
    end_marked(MARK, mark)


def _is_guard(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return guard.__file__ in process.cmdline()
    return False


def services(root: Path) -> Facts:
    """Addresses and health of what runs; the last ticks and the next one, where Prefect answers."""
    running = note.running(root)
    last = running or note.read(root)
    url = os.environ.get(API_URL, "").rstrip("/") or last.prefect_api
    # The address of the last time may be another project's by now.
    prefect = bool(running or os.environ.get(API_URL)) and bool(url) and answers(url)
    mlflow = mlflow_ui(root)
    facts: Facts = {
        "ticks": None,
        "next_tick": None,
        "deployments": None,
        "mlflow": {
            "address": mlflow,
            "answers": bool(running or named_mlflow()) and answers(mlflow),
            "store": shown_uri(root),
        },
        "prefect": {"address": url or None, "answers": prefect},
        "serve": _serve(running),
        "worker": None,
        "supervisor": running.pid if running else None,
        "warnings": [],
    }
    if running and running.store != shown_uri(root):
        facts["warnings"].append(
            f"Scheduled runs are recorded in {running.store}, those of this shell in "
            f"{shown_uri(root)}."
        )
    if not prefect:
        return facts
    try:
        facts["ticks"] = [_tick(run) for run in prefect_api.last_ticks(url, TICKS)]
        due = prefect_api.next_tick(url)
        facts["next_tick"] = due["expected_start_time"] if due else None
        facts["deployments"] = [
            {
                "name": found["name"],
                "paused": found["paused"],
                "schedules": [_words(s["schedule"]) for s in found["schedules"] if s["active"]],
            }
            for found in prefect_api.deployments(url, prefect_api.TICKS)
        ]
        if running and running.worker:
            online = running.worker in heartbeats(url)
            facts["worker"] = {"name": running.worker, "online": online}
    except StageError as error:
        facts["warnings"].append(str(error))
    return facts


def _serve(running: Note | None) -> Facts | None:
    """Where the champion is served, and what the server says of itself."""
    if running is None or not running.serve:
        return None
    facts: Facts = {"address": running.serve, "status": "away", "version": None}
    try:
        with urllib.request.urlopen(f"{running.serve}/health/ready", timeout=5) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        with suppress(ValueError):
            facts["status"] = json.load(error)["status"]
        return facts
    except (OSError, ValueError):
        return facts
    return facts | {"status": found["status"], "version": found["model"]["version"]}


def _words(schedule: Facts) -> str:
    if "interval" in schedule:
        return f"every {schedule['interval']:.0f} s"
    return f"{schedule.get('cron') or schedule.get('rrule')} {schedule.get('timezone') or 'UTC'}"


def _tick(run: Facts) -> Facts:
    by = "schedule" if run["auto_scheduled"] else "Prefect" if run["deployment_id"] else "shell"
    return {
        "name": run["name"],
        "at": run["start_time"] or run["expected_start_time"],
        "by": by,
        "outcome": run["state_name"],
        "message": (run["state"] or {}).get("message"),
        "seconds": run["estimated_run_time"],
    }
