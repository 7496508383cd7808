"""How many requests, and how many bytes of uploads, the server has at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ser.params.server import LimitsParams
from ser.serve.interfaces.problems import Problem


class Admission:
    """Bounds what waits: one request more is refused at once instead of answered late.

    Of uploads their bytes count, and the samples that were decoded from them.
    """

    def __init__(self, limits: LimitsParams) -> None:
        self._limits = limits
        self.active = self.streams = self.timelines = 0
        self._bytes, self._most_bytes = 0, round(limits.max_upload_megabytes * 2**20)

    @property
    def is_full(self) -> bool:
        return self.active >= self._limits.max_requests

    @contextmanager
    def request(self) -> Iterator[None]:
        """A place among the requests that are worked on; raises Problem `overloaded`."""
        if self.is_full:
            raise Problem("overloaded", "The server has as much to do as it can; try again.")
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    @contextmanager
    def stream(self) -> Iterator[bool]:
        """A place among the sessions; False where there is none."""
        room = self.streams < self._limits.max_streams
        self.streams += room
        try:
            yield room
        finally:
            self.streams -= room

    @contextmanager
    def timeline(self) -> Iterator[None]:
        """A place among the timelines that are made; raises Problem `overloaded`.

        The recordings' bytes are bounded by the number of places.
        """
        if self.timelines >= self._limits.max_timelines:
            raise Problem(
                "overloaded",
                f"The server makes {self.timelines} timelines at once, and no more; try again.",
                close=True,
            )
        self.timelines += 1
        try:
            yield
        finally:
            self.timelines -= 1

    @contextmanager
    def upload(self) -> Iterator[Upload]:
        """Room for the bytes of one upload and its samples, given back at the end."""
        own = Upload(self)
        try:
            yield own
        finally:
            self._bytes -= own.size

    def add(self, size: int) -> None:
        if self._bytes + size > self._most_bytes:
            raise Problem("overloaded", "Too many uploads at once; try again.", close=True)
        self._bytes += size


class Upload:
    def __init__(self, admission: Admission) -> None:
        self._admission, self.size = admission, 0

    def add(self, size: int) -> None:
        """Raises Problem `overloaded` where all uploads together are too large."""
        self._admission.add(size)
        self.size += size
