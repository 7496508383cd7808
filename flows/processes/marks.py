"""Processes that carry a mark in their environment: all that one command has started."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

#: Seconds that such a process may take to end, of SIGTERM and then of SIGKILL.
GRACE = 10.0


def marked(name: str, mark: str) -> list[psutil.Process]:
    """Processes whose variable `name` begins with the mark; one whose environment cannot be read
    has none."""
    running = psutil.process_iter(["environ"])
    return [p for p in running if (p.info["environ"] or {}).get(name, "").startswith(mark)]


def end_marked(name: str, mark: str) -> None:
    """End what carries the mark, and wait until it is gone, 20 seconds at most."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        deadline = time.monotonic() + GRACE
        while (left := marked(name, mark)) and time.monotonic() < deadline:
            for process in left:
                with suppress(psutil.Error):
                    end(process)
            time.sleep(0.2)
