"""Time that a fold took, however often it was cut off."""

from __future__ import annotations

import time
from pathlib import Path

from ser.files import read_json, write_json


class Clock:
    """How long something takes, the time before it was cut off and begun again included."""

    def __init__(self, record: Path) -> None:
        self.record, self.started = record, time.monotonic()
        self.before = float(read_json(record)["seconds"]) if record.is_file() else 0.0

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def note(self) -> None:
        """So much will have passed if it is cut off now."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        write_json({"seconds": self.seconds}, self.record)
