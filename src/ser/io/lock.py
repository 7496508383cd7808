"""One process at a time in a folder that is about to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ser.errors import CorpusError


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock beside `folder`; raises CorpusError where another process holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock.tmp"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise CorpusError(
            f"Another command is changing {folder}. Wait for it, or end it, then try again."
        ) from error
    try:
        yield
    finally:
        lock.release()
