"""What runs here and how it is: servers, worker, and what Prefect says of the schedule."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.processes import note, prefect_api
from flows.processes.marks import marked
from flows.processes.note import Note
from flows.processes.server import API_URL, answers, mlflow_ui, named_mlflow
from ser.errors import StageError
from ser.io.tracking.address import shown_uri

#: Marks every process that the platform starts, so that all of them can be found.
MARK = "SER_PLATFORM"
#: Flow runs that are shown.
TICKS = 5
Facts = dict[str, Any]


def worker_name(root: Path) -> str:
    """A worker's name in Prefect: the machine, and the folder of the project."""
    return re.sub(r"[/%&<>]", "-", f"{socket.gethostname()} {root.name}")


def is_online(url: str, name: str, *, since: float = 0.0) -> bool:
    """Whether the worker of that name is online, by a heartbeat after `since`."""
    # The pool may not be there yet.
    with suppress(StageError):
        for worker in prefect_api.workers(url):
            if worker["name"] == name and worker["status"] == "ONLINE":
                return datetime.fromisoformat(worker["last_heartbeat_time"]).timestamp() >= since
    return False


def health(running: Note) -> dict[str, bool]:
    """Whether each part of the platform answers, or is online."""
    prefect = answers(running.prefect_api)
    found = {"mlflow": answers(running.mlflow), "prefect": prefect}
    if running.worker:
        found["worker"] = prefect and is_online(running.prefect_api, running.worker)
    return found


def left_over(mark: str) -> list[int]:
    """Numbers of the processes that a platform of that mark has started, and that still run."""
    return [process.pid for process in marked(MARK, mark)] if mark else []


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
            for found in prefect_api.deployments(url)
        ]
        if running and running.worker:
            online = is_online(url, running.worker)
            facts["worker"] = {"name": running.worker, "online": online}
    except StageError as error:
        facts["warnings"].append(str(error))
    return facts


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
