"""One retraining at a time in a project, whoever starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

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
        with lock:
            yield
        return
    try:
        lock.acquire()
    except Timeout as error:
        raise StageError(_who(holder)) from error
    try:
        _end_leftovers(holder)
        mark = uuid.uuid4().hex
        os.environ[MARK] = mark
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "mark": mark}
        holder.write_text(json.dumps(facts) + "\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        os.environ.pop(MARK, None)
        lock.release()


def _who(holder: Path) -> str:
    facts = _read(holder)
    by = f" by process {facts['pid']} since {facts['since']}" if facts else ""
    return f"A retraining is under way{by}; wait for it, or end it, then start again."


def _read(holder: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        return dict(json.loads(holder.read_text()))
    return {}


def _end_leftovers(holder: Path) -> None:
    """End what a killed retraining left running: it holds DVC's lock, or writes the outs."""
    mark = _read(holder).get("mark")
    if not mark:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE
        while (left := _marked(mark)) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, sign)
            time.sleep(0.2)


def _marked(mark: str) -> list[int]:
    """Processes whose environment holds the mark; none where there is no /proc."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found
