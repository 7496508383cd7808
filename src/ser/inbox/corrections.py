"""Corrections of listeners in `data/inbox`: the only place that may hold a client's audio.

A folder for each prediction that was corrected, named by its request id: `correction.json`, and
`recording` where the person agreed to that. They are deleted after some days, or on request.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from ser.errors import SerError
from ser.files import atomic_path

REQUEST_ID = re.compile(r"[0-9a-f]{32}")
CORRECTION, RECORDING = "correction.json", "recording"
DAY = 86_400


class InboxFull(SerError):
    """Corrections take up all the room that they may."""


class Inbox:
    """May be used in several threads. megabytes : of all corrections together."""

    def __init__(self, folder: Path, *, days: int, megabytes: int) -> None:
        self.folder, self.days, self._most = folder, days, megabytes * 2**20
        self._lock = threading.Lock()

    def store(self, request_id: str, correction: dict[str, Any], audio: bytes | None) -> list[str]:
        """Keep a correction, instead of an earlier one of the same prediction; says what of it.

        Raises InboxFull.
        """
        stored = ["label"] if audio is None else ["label", "audio"]
        with self._lock, atomic_path(self.folder / request_id) as temporary:
            if self._size() + len(audio or b"") > self._most:
                raise InboxFull(
                    f"The inbox has {self._most / 2**20:g} MiB of corrections and takes no more; "
                    "try again when older ones are deleted."
                )
            temporary.mkdir(mode=0o700)
            text = json.dumps({**correction, "stored": stored}, indent=2)
            (temporary / CORRECTION).write_text(text + "\n", encoding="utf-8")
            if audio is not None:
                (temporary / RECORDING).write_bytes(audio)
        return stored

    def delete(self, request_id: str) -> bool:
        """Delete a correction; whether there was one. Raises OSError where it cannot be deleted."""
        path = self.folder / request_id
        with self._lock:
            found = path.is_dir()
            if found:
                shutil.rmtree(path)
        return found

    def purge(self, now: float | None = None) -> int:
        """Delete what is older than `days`; returns how many corrections. Raises OSError."""
        oldest = (time.time() if now is None else now) - self.days * DAY
        with self._lock:
            old = [entry for entry in self._entries() if entry.stat().st_mtime < oldest]
            for entry in old:
                shutil.rmtree(entry)
        return len(old)

    def _entries(self) -> list[Path]:
        # Recordings of a corpus that wait for the next retraining lie in folders beside these.
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return [entry for entry in found if REQUEST_ID.fullmatch(entry.name) and entry.is_dir()]

    def _size(self) -> int:
        return sum(
            file.stat().st_size
            for entry in self._entries()
            for file in entry.iterdir()
            if file.is_file()
        )
