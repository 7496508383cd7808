"""The bytes of a recording by position, from memory or from a file that is not read whole."""

from __future__ import annotations

import io
import os
from typing import Any

#: Bytes that are read at a time where fewer are asked for.
WINDOW = 2**18


class FileBytes:
    """An open file that answers as `bytes` do: length, index, slice, `find`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._start, self._window = 0, b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, _ = key.indices(self._size)
            return self._read(start, stop)
        return self._read(key, key + 1)[0]

    def find(self, sought: bytes, start: int = 0, stop: int | None = None) -> int:
        stop = self._size if stop is None else min(stop, self._size)
        while start < stop:
            window = self[start : min(start + WINDOW, stop)]
            at: int = window.find(sought)
            if at >= 0:
                return start + at
            start += max(1, len(window) - len(sought) + 1)
        return -1

    def _read(self, start: int, stop: int) -> bytes:
        if start >= stop:
            return b""
        if not self._start <= start < stop <= self._start + len(self._window):
            if stop - start > WINDOW:
                return self._pread(start, stop - start)
            self._start, self._window = start, self._pread(start, WINDOW)
        return self._window[start - self._start : stop - self._start]

    def _pread(self, start: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, start)


Bytes = bytes | FileBytes


class View(io.RawIOBase):
    """`head`, then data[start:stop], as a file that decoders read.

    Damaged headers make libsndfile seek before the start; it stays where it is, without a word.
    """

    def __init__(
        self, data: Bytes, *, start: int = 0, stop: int | None = None, head: bytes = b""
    ) -> None:
        self._data, self._head = data, head
        # Where `data` would begin if all of it followed the head.
        self._shift = len(head) - start
        self._size = len(head) + (len(data) if stop is None else stop) - start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset >= 0:
            self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        read = self._head[self._at : self._at + wanted]
        at = self._at + len(read) - self._shift
        read += self._data[at : at + wanted - len(read)]
        memoryview(buffer).cast("B")[: len(read)] = read
        self._at += len(read)
        return len(read)
