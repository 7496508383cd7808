"""`mlruns/promotions.jsonl`: one row for every verdict and change of champion.

A row is on disk before the alias is moved. Where that fails, the row is taken back; where a kill
came in between, `mending.agree` writes a row `withdrawn`. One journal may have rows of several
stores; each row names its own.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ser.errors import RegistryError, way_out
from ser.io.tracking.address import project_of
from ser.io.tracking.lineage import FLOW_RUN, user

#: Seconds to wait for another process that is registering or promoting.
LOCK_TIMEOUT = 600.0

Row = dict[str, Any]
#: Fields of every row; older rows have no `who`, `pid` and `flow_run`.
FIELDS = ("at", "event", "version", "previous", "store", "who", "pid", "flow_run", "reason")


def journal_path(root: Path) -> Path:
    return project_of(root) / "mlruns" / "promotions.jsonl"


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold registry and journal, so that what is judged is still true when it is acted upon.

    Re-entrant within a thread; readers need no lock.
    """
    path = project_of(root) / "mlruns" / "registry.lock"
    lock = FileLock(path, timeout=LOCK_TIMEOUT, is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RegistryError(
            f"Another process has held {path} for {LOCK_TIMEOUT:.0f} s; end it, then try again."
        ) from error
    except OSError as error:
        raise RegistryError(
            f"{path} cannot be locked ({error.strerror or error}): what serves is changed only "
            "with write access to that folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def new_row(
    *, event: str, version: int, previous: int | None, store: str, reason: str, **figures: Any
) -> Row:
    """A row, with who writes it and when.

    event : promoted, kept, rolled_back, reinstated, moved_by_hand, adopted, withdrawn or deleted.
    previous : the champion before the event. store : the registry's identity.
    figures : what a verdict rests on.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": event,
        "version": version,
        "previous": previous,
        "store": store,
        "who": f"{user()}@{socket.gethostname()}",
        "pid": os.getpid(),
        "flow_run": os.environ.get(FLOW_RUN) or None,
        "reason": reason,
        **figures,
    }


def figures_of(row: Row) -> dict[str, Any]:
    """What was given to `new_row` as figures."""
    return {name: value for name, value in row.items() if name not in FIELDS}


def append(root: Path, row: Row) -> int:
    """Add a row and wait for the disk; returns what `take_back` needs.

    Raises RegistryError where the journal cannot be written.
    """
    line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
    path = journal_path(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            before = file.tell()
            if before:
                file.seek(-1, os.SEEK_END)
                # A row that a kill cut short must not swallow this one.
                if file.read(1) != b"\n":
                    line = b"\n" + line
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # On a full disk a part of it may be there.
                with suppress(OSError):
                    os.truncate(path, before)
                raise
    except OSError as error:
        raise _unusable(path, error) from error
    return before


def take_back(root: Path, before: int) -> None:
    """Remove the row that `append` wrote last: the act failed."""
    os.truncate(journal_path(root), before)


def rows(root: Path) -> list[Row]:
    """All rows, oldest first; one that a kill cut short is left out.

    Raises RegistryError where another line is no row.
    """
    path = journal_path(root)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(path, error) from error
    found = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        row = _parsed(line)
        if _is_row(row):
            found.append(row)
        elif line.strip() and not _is_cut_short(line):
            raise RegistryError(
                f"{path}, line {number}, is no row of the journal: {line[:60]!r}; expected a JSON "
                "object with at, event, version and previous. Mend or delete that line."
            )
    return found


def rows_of(root: Path, store: str) -> list[Row]:
    """Rows of one store, oldest first.

    Rows without a store are of an older journal, and belong to any.
    """
    return [row for row in rows(root) if row.get("store") in (store, None)]


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("at"), str)
        and isinstance(row.get("event"), str)
        and type(row.get("version")) is int
        and type(row.get("previous", "")) in (int, type(None))
        and isinstance(row.get("store"), str | None)
    )


def _is_cut_short(line: bytes) -> bool:
    return line.startswith(b'{"at"'[: len(line)]) and not line.rstrip().endswith(b"}")


def _unusable(path: Path, error: OSError) -> RegistryError:
    remedy = way_out(error) or "Give this user access to it and its folder."
    return RegistryError(
        f"{path}, the journal of promotions, cannot be used ({error.strerror}). {remedy}"
    )
