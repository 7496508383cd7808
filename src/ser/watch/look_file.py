"""The document of the last look, for whoever shows it: needs no model and no table."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ser.core.drift.figures import SCHEMA
from ser.errors import SerError
from ser.files import read_json
from ser.project import DRIFT


def read_look(root: Path) -> dict[str, Any]:
    """The document of the last look; empty where there is none that can be read."""
    with suppress(SerError, OSError, ValueError):
        found = read_json(root / DRIFT)
        if found.get("schema") == SCHEMA:
            return found
    return {}
