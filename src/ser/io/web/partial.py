"""A file from the web while it is not whole: what is published of it, and the part that is here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from ser.files import file_hash

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Remote:
    """A file on the web, where it goes, and its published size in bytes and hex hashes."""

    url: str
    dest: Path
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None

    @property
    def hashes(self) -> dict[str, str]:
        known = {"md5": self.md5, "sha256": self.sha256}
        return {name: value.lower() for name, value in known.items() if value}

    def mismatch(self, path: Path) -> str | None:
        """Which of size and hashes of `path` differs, in a sentence; None if none does."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"found {size:,} bytes, expected {self.size:,}."
        for name, expected in self.hashes.items():
            found = file_hash(path, name)
            if found != expected:
                return f"found {name.upper()} {found}, expected {expected}: it is other content."
        return None


class Part:
    """`dest.part`, and beside it a note of the edition of its content.

    size : bytes that are here. total : bytes of the whole by the server's header, if it has one.
    resumed : the bytes came by several requests.
    """

    def __init__(self, file: Remote, progress: Progress) -> None:
        self.file, self._progress = file, progress
        self.path = file.dest.with_name(f"{file.dest.name}.part")
        self._notes = file.dest.with_name(f"{file.dest.name}.part.json")
        self.size, self.total, self.resumed = 0, None, False
        self.validator = ""
        with suppress(OSError, ValueError, TypeError, KeyError):
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            if notes["url"] == file.url:
                self.validator, self.total = str(notes["validator"]), notes["total"]
                self.size = self.path.stat().st_size
                progress(self.size)
        if self.size > (self.total or self.size) or self.size > (file.size or self.size):
            self.drop()

    def range_headers(self) -> dict[str, str]:
        """A request for the rest; nothing where neither validator nor hash shows that it fits."""
        if not self.size or not (self.validator or self.file.hashes):
            return {}
        headers = {"Range": f"bytes={self.size}-"}
        return headers | ({"If-Range": self.validator} if self.validator else {})

    def begin(self, response: httpx.Response) -> None:
        """Start anew with the content of `response`."""
        self.drop()
        length = response.headers.get("Content-Length", "")
        self.validator, self.total = (
            validator(response),
            int(length) if length.isdecimal() else None,
        )
        facts = {"url": self.file.url, "validator": self.validator, "total": self.total}
        self._notes.write_text(json.dumps(facts), encoding="utf-8")

    def grow(self, count: int) -> None:
        self.size += count
        self._progress(count)

    def drop(self) -> None:
        self._progress(-self.size)
        self.size, self.total, self.resumed, self.validator = 0, None, False, ""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def finish(self) -> None:
        """Verified: the part takes its final place."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.file.dest)
        self._notes.unlink(missing_ok=True)


def validator(response: httpx.Response) -> str:
    """The name of this edition of the content: a strong ETag, else its date, else nothing."""
    etag = response.headers.get("ETag", "")
    # Two answers of one weak tag may differ in their bytes.
    return "" if etag.startswith("W/") else etag or response.headers.get("Last-Modified", "")
