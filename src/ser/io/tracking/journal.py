"""`mlruns/promotions.jsonl`: one row for every verdict and change of champion.

A row is on disk before the alias is moved. Where that fails, the row is taken back; where a kill
came in between, the next change writes a row `withdrawn`. One journal may have rows of several
stores; each row names its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ser.errors import RegistryError
from ser.io.tracking.address import project_of

#: Events after which their version is the champion.
CHANGES = ("promoted", "rolled_back", "reinstated")
WITHDRAWN = "withdrawn"
#: Seconds to wait for another process that is registering or promoting.
LOCK_TIMEOUT = 600.0

Row = dict[str, Any]


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


def append(
    root: Path, *, event: str, version: int, previous: int | None, store: str, **facts: Any
) -> int:
    """Add a row and wait for the disk; returns what `take_back` needs.

    event : promoted, kept, rolled_back, reinstated or withdrawn.
    previous : the champion before the event. store : the registry's identity.
    Raises RegistryError where the journal cannot be written.
    """
    row = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "event": event,
        "version": version,
        "previous": previous,
        "store": store,
        **facts,
    }
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
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unusable(path, error) from error
    return before


def take_back(root: Path, before: int) -> None:
    """Remove the row that `append` wrote last: the act failed."""
    os.truncate(journal_path(root), before)


def withdraw_undone(root: Path, store: str, serving: int | None) -> None:
    """Write off the store's last change where a kill came before the alias moved.

    serving : the champion, by the alias.
    """
    last = _last_change(rows_of(root, store))
    if last and last["version"] != serving and last["previous"] == serving and "store" in last:
        append(
            root,
            event=WITHDRAWN,
            version=last["version"],
            previous=serving,
            store=store,
            reason="It was written, but the alias never moved.",
        )


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
    """Rows of one store that hold: those that a later row withdrew are left out.

    Rows without a store are of an older journal, and belong to any.
    """
    held: list[Row] = []
    for row in rows(root):
        if row.get("store") not in (store, None):
            continue
        if row["event"] != WITHDRAWN:
            held.append(row)
        elif (last := _last_change(held)) and last["version"] == row["version"]:
            held.remove(last)
    return held


def predecessors(held: Sequence[Row], version: int) -> Iterator[int]:
    """The champions before `version`, the nearest first.

    Only promotions count, so that rolling back twice goes back two steps.
    """
    seen = {version}
    for row in reversed(held):
        # A second row after a kill names the version itself.
        if row["event"] == "promoted" and row["version"] == version != row["previous"]:
            if row["previous"] is None or row["previous"] in seen:
                return
            version = int(row["previous"])
            seen.add(version)
            yield version


def champions(held: Sequence[Row]) -> Iterator[int]:
    """All champions, the last first; those that were rolled back from are left out."""
    left: set[int | None] = set()
    for row in reversed(held):
        if row["event"] not in CHANGES or row["version"] in left:
            continue
        if row["event"] == "rolled_back":
            left.add(row["previous"])
        left.add(row["version"])
        yield int(row["version"])


def _last_change(held: Sequence[Row]) -> Row | None:
    return next((row for row in reversed(held) if row["event"] in CHANGES), None)


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
    return RegistryError(
        f"{path}, the journal of promotions, cannot be used ({error.strerror}). Give this user "
        "access to it and its folder."
    )
