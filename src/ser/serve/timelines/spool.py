"""An upload that other processes read: in memory, never on a disk where the system allows that."""

from __future__ import annotations

import os
import tempfile
from multiprocessing import reduction
from typing import Any


class Spool:
    """Bytes that come in a row, in a file without a name, which ends with the last who has it."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._file: Any = os.fdopen(os.memfd_create("upload"), "wb", buffering=0)
        else:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._size = 0

    def extend(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._size += len(data)

    def __len__(self) -> int:
        return self._size

    def handle(self) -> Handle:
        """The open file, for another process."""
        return Handle(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Handle:
    """An open file that goes to a process which is being started."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.descriptor),)


def _received(duplicate: Any) -> Handle:
    return Handle(duplicate.detach())
