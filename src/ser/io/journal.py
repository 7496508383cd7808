"""`mlruns/promotions.jsonl`: one row for every verdict and roll-back, on disk before it acts."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def journal_path(root: Path) -> Path:
    return root.resolve() / "mlruns" / "promotions.jsonl"


def append(root: Path, *, event: str, version: int, previous: int | None, **facts: Any) -> None:
    """Add a row and wait for the disk.

    event : promoted, kept or rolled_back.
    previous : the champion before the event.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    row = {"at": now, "event": event, "version": version, "previous": previous, **facts}
    line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
    path = journal_path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            # A row that a kill cut short must not swallow this one.
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def rows(root: Path) -> list[dict[str, Any]]:
    """All rows, oldest first; one that a kill cut short is left out."""
    path = journal_path(root)
    if not path.exists():
        return []
    found = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def predecessor(root: Path, version: int) -> int | None:
    """The champion that `version` took the place of, None if it was the first.

    Only promotions count, so that rolling back twice goes back two steps.
    """
    for row in reversed(rows(root)):
        if row["event"] == "promoted" and row["version"] == version:
            previous = row["previous"]
            # A kill between row and alias leaves a second row that names the version itself.
            if previous != version:
                return previous
    return None
