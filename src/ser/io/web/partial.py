"""A file from the web while it is not whole: what is known of it, and what is here."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

Progress = Callable[[int], object]


@dataclass(frozen=True)
class Remote:
    """A file on the web, where it goes, and what is known of it: bytes and hex hashes."""

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
        """What of the size and hashes of `path` does not fit, None if all does."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"found {size:,} bytes, expected {self.size:,}."
        for name, expected in self.hashes.items():
            with path.open("rb") as content:
                found = hashlib.file_digest(content, name).hexdigest()
            if found != expected:
                return f"found {name.upper()} {found}, expected {expected}: it is other content."
        return None


class Part:
    """`dest.part`, and beside it a note which edition of the content it is of.

    size : bytes that are here. total : bytes of the whole as the server has it, if it says so.
    resumed : some of it came by another request than the rest.
    """

    def __init__(self, file: Remote, progress: Progress) -> None:
        self.file, self._progress = file, progress
        self.path = file.dest.with_name(f"{file.dest.name}.part")
        self._notes = file.dest.with_name(f"{file.dest.name}.part.json")
        self.size, self.total, self.resumed = 0, None, False
        self.validator = ""
        with suppress(OSError, ValueError, TypeError, KeyError):
            notes = json.loads(self._notes.read_text())
            if notes["url"] == file.url:
                self.validator, self.total = str(notes["validator"]), notes["total"]
                self.size = self.path.stat().st_size
                progress(self.size)
        if self.size > (self.total or self.size) or self.size > (file.size or self.size):
            self.drop()

    def range_headers(self) -> dict[str, str]:
        """What asks for the rest; nothing where no one could tell that it fits what is here."""
        if not self.size or not (self.validator or self.file.hashes):
            return {}
        headers = {"Range": f"bytes={self.size}-"}
        return headers | ({"If-Range": self.validator} if self.validator else {})

    def begin(self, response: httpx.Response, total: int | None) -> None:
        """Start anew with the content of `response`."""
        self.drop()
        self.validator, self.total = validator(response), total
        facts = {"url": self.file.url, "validator": self.validator, "total": total}
        self._notes.write_text(json.dumps(facts))

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
    """What names this edition of the content: a strong ETag, else its date, else nothing."""
    etag = response.headers.get("ETag", "")
    # A weak tag does not say that two answers are the same bytes.
    return "" if etag.startswith("W/") else etag or response.headers.get("Last-Modified", "")
