"""`mlruns/promotions.jsonl`: one row for every verdict and change of champion.

A row is on disk before it is acted upon. Where the act fails, the row is taken back; where a kill
came in between, the next change writes a row `withdrawn`. One journal may have rows of several
stores, each row says of which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ser.errors import RegistryError

#: Events after which their version is the champion.
CHANGES = ("promoted", "rolled_back", "reinstated")
WITHDRAWN = "withdrawn"

Row = dict[str, Any]


def journal_path(root: Path) -> Path:
    return root.resolve() / "mlruns" / "promotions.jsonl"


def append(
    root: Path, *, event: str, version: int, previous: int | None, store: str, **facts: Any
) -> int:
    """Add a row and wait for the disk; returns what `take_back` needs.

    event : promoted, kept, rolled_back, reinstated or withdrawn.
    previous : the champion before the event. store : the registry's identity.
    Raises RegistryError where the journal cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    row = {
        "at": now,
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
    """Remove the row that `append` wrote last: what it says did not happen."""
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


def rows_of(root: Path, store: str | None) -> list[Row]:
    """Rows of one store that hold: those that were taken back by a later one are left out.

    Rows of before there were identities have no store, and belong to any.
    """
    held: list[Row] = []
    for row in rows(root):
        if row.get("store") not in (store, None):
            continue
        if row["event"] == WITHDRAWN:
            last = next((r for r in reversed(held) if r["event"] in CHANGES), None)
            if last is not None and last["version"] == row["version"]:
                held.remove(last)
        else:
            held.append(row)
    return held


def predecessors(held: Sequence[Row], version: int) -> Iterator[int]:
    """Champions that `version` and they in turn took the place of, the nearest first.

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
    """Who was champion, the last first; those that were rolled back from are left out."""
    left: set[int | None] = set()
    for row in reversed(held):
        if row["event"] not in CHANGES or row["version"] in left:
            continue
        if row["event"] == "rolled_back":
            left.add(row["previous"])
        left.add(row["version"])
        yield int(row["version"])


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
