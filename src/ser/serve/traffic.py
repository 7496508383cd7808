"""A row of the traffic log for each prediction that the server makes."""

from __future__ import annotations


class Traffic:
    """Writes nothing yet."""

    dropped = 0

    def close(self) -> None:
        pass
