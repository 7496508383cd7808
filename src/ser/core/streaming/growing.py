"""An array that grows at its end."""

from __future__ import annotations

import numpy as np


class Growing:
    """Rows (n, *shape) of one type; those that are there stay as they are.

    Room doubles: a row costs the same however many precede it.
    """

    def __init__(self, *shape: int, dtype: type[np.generic] = np.float32, room: int = 1024) -> None:
        self._rows = np.empty((room, *shape), dtype=dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def rows(self) -> np.ndarray:
        """A view of all rows."""
        return self._rows[: self._n]

    def extend(self, rows: np.ndarray) -> None:
        """Add `rows` (n, *shape)."""
        n = self._n + len(rows)
        if n > len(self._rows):
            wider = np.empty((max(n, 2 * len(self._rows)), *rows.shape[1:]), self._rows.dtype)
            wider[: self._n] = self.rows
            self._rows = wider
        self._rows[self._n : n] = rows
        self._n = n
