"""Corrections of listeners in `data/inbox`: the only place that may hold a client's audio.

A folder for each prediction that was corrected, named by its request id: `correction.json`, and
`recording` where the person agreed to that. They are deleted after some days, or on request.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from ser.files import atomic_path

REQUEST_ID = re.compile(r"[0-9a-f]{32}")
CORRECTION, RECORDING = "correction.json", "recording"
DAY = 86_400


class Inbox:
    def __init__(self, folder: Path, *, days: int) -> None:
        self.folder, self.days = folder, days

    def store(self, request_id: str, correction: dict[str, Any], audio: bytes | None) -> list[str]:
        """Keep a correction, instead of an earlier one of the same prediction; says what of it."""
        stored = ["label"] if audio is None else ["label", "audio"]
        with atomic_path(self.folder / request_id) as temporary:
            temporary.mkdir(mode=0o700)
            text = json.dumps({**correction, "stored": stored}, indent=2)
            (temporary / CORRECTION).write_text(text + "\n")
            if audio is not None:
                (temporary / RECORDING).write_bytes(audio)
        return stored

    def delete(self, request_id: str) -> bool:
        """Delete a correction; whether there was one."""
        path = self.folder / request_id
        found = path.is_dir()
        shutil.rmtree(path, ignore_errors=True)
        return found

    def purge(self, now: float | None = None) -> int:
        """Delete what is older than `days`; returns how many corrections."""
        oldest = (time.time() if now is None else now) - self.days * DAY
        entries = list(self.folder.iterdir()) if self.folder.is_dir() else []
        old = [entry for entry in entries if entry.stat().st_mtime < oldest]
        for entry in old:
            shutil.rmtree(entry, ignore_errors=True)
        return len(old)
