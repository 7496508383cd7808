"""`.ser/up.json`: the servers and the worker that run here, or the addresses that they had last."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ser.files import write_json

NOTE = Path(".ser/up.json")
HERE = "http://127.0.0.1:"
#: Seconds by which two readings of one process's start may differ.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Note:
    """Addresses, and the supervisor that keeps the servers running; pid 0: none does.

    started : its start, in seconds since the machine's: unlike a time of day no clock that is set
    changes it. mark : of all processes that it has started. ready : whether all of them are well.
    serve : where the champion is served; "" where it is not. store : where runs are recorded,
    without a password. compare : MLflow's page that shows which run is better; "" where its server
    is elsewhere.
    """

    mlflow: str = ""
    prefect_api: str = ""
    pid: int = 0
    started: float = 0.0
    mark: str = ""
    ready: bool = False
    worker: str = ""
    serve: str = ""
    store: str = ""
    compare: str = ""


def read(root: Path) -> Note:
    """What was noted last; an empty note where nothing was, or it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        return Note(**json.loads((root / NOTE).read_text(encoding="utf-8")))
    return Note()


def write(root: Path, note: Note) -> None:
    write_json(asdict(note), root / NOTE)


def running(root: Path) -> Note | None:
    """The note of a supervisor that runs; None where there is none."""
    note = read(root)
    return note if note.pid and is_process(note.pid, note.started) else None


def ended(root: Path) -> None:
    """Keep the addresses on this machine: links lead to the same ports the next time."""
    last = read(root)
    mlflow, prefect, serve = (
        url if url.startswith(HERE) else "" for url in (last.mlflow, last.prefect_api, last.serve)
    )
    write(root, Note(mlflow, prefect, serve=serve))


def start_of(pid: int) -> float:
    """When the process started, in seconds since the machine did."""
    return float(psutil.Process(pid).create_time() - psutil.boot_time())


def is_process(pid: int, started: float) -> bool:
    """Whether the process runs, and is not another one that has its number now."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        return is_alive and abs(start_of(pid) - started) < TOLERANCE
    return False
