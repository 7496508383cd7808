"""One retraining at a time in a project, whoever starts it."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from ser.errors import StageError

#: Marks every process that a retraining starts, so that the next one can find those that
#: outlived it after a SIGKILL.
MARK = "SER_RETRAINING"
#: Seconds that such a process may take to end.
GRACE = 10.0


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Hold the project's lock; raises StageError naming who holds it. Re-entrant."""
    folder = root / ".ser"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "retrain.lock", timeout=0, is_singleton=True)
    holder = folder / "retrain.json"
    if lock.is_locked:
        yield
        return
    try:
        lock.acquire()
    except Timeout as error:
        facts = _read(holder)
        by = f" by process {facts['pid']} since {facts['since']}" if facts else ""
        raise StageError(
            f"A retraining is under way{by}; wait for it, or end it, then start again."
        ) from error
    try:
        if mark := _read(holder).get("mark"):
            _end_marked(mark)
        os.environ[MARK] = uuid.uuid4().hex
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        facts = {"pid": os.getpid(), "since": since, "mark": os.environ[MARK]}
        holder.write_text(json.dumps(facts) + "\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        os.environ.pop(MARK, None)
        lock.release()


def _read(holder: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        return dict(json.loads(holder.read_text()))
    return {}


def _end_marked(mark: object) -> None:
    """End what a killed retraining left running: it holds DVC's lock, or writes the outs."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        deadline = time.monotonic() + GRACE
        while (left := _marked(mark)) and time.monotonic() < deadline:
            for process in left:
                with suppress(psutil.Error):
                    end(process)
            time.sleep(0.2)


def _marked(mark: object) -> list[psutil.Process]:
    """Processes that carry the mark; one whose environment cannot be read does not."""
    running = psutil.process_iter(["environ"])
    return [p for p in running if (p.info["environ"] or {}).get(MARK) == mark]
