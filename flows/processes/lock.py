"""One retraining at a time in a project, whoever starts it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flows.processes import note
from flows.processes.marks import end_marked
from ser.errors import StageError

#: Marks every process that a retraining starts, so that the next one can find those that
#: outlived it after a SIGKILL.
MARK = "SER_RETRAINING"


class RetrainingUnderWay(StageError):
    """Another process retrains this project."""


@contextmanager
def hold(root: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the project's lock; re-entrant.

    wait : until whoever holds it has ended. Else raises RetrainingUnderWay, which names it.
    """
    folder = root / ".ser"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "retrain.lock", timeout=0, is_singleton=True)
    holder = folder / "retrain.json"
    if lock.is_locked:
        yield
        return
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        facts = _read(holder)
        by = f" by process {facts['pid']} since {facts['since']}" if facts else ""
        raise RetrainingUnderWay(
            f"A retraining is under way{by}; wait for it, or end it, then start again."
        ) from error
    try:
        if mark := _read(holder).get("mark"):
            # It holds DVC's lock, or writes the outs.
            end_marked(MARK, str(mark))
        os.environ[MARK] = uuid.uuid4().hex
        facts = {
            "pid": os.getpid(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            "started": note.start_of(os.getpid()),
            "mark": os.environ[MARK],
        }
        holder.write_text(json.dumps(facts) + "\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        os.environ.pop(MARK, None)
        lock.release()


def under_way(root: Path) -> dict[str, Any] | None:
    """`pid` and `since` of the retraining that holds the project's lock."""
    facts = _read(root / ".ser" / "retrain.json")
    # One that was killed leaves its facts.
    return facts if facts and note.is_process(facts["pid"], facts["started"]) else None


def _read(holder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return dict(json.loads(holder.read_text(encoding="utf-8")))
    return {}
