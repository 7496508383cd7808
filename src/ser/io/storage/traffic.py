"""Writes the traffic log: rows wait in memory and reach the disk by a thread of their own."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from ser.io.storage.traffic_files import tidy, write_flush
from ser.params.traffic import TrafficParams

#: Names a folder that the log is written to, or is `off`; params.yaml has no say then.
VARIABLE = "SER_TRAFFIC"
#: Rows that may wait for a disk that does not keep up; more are dropped.
MOST_WAITING = 200_000


class TrafficLog:
    """A folder of Parquet files with the rows of `ser.monitoring.traffic`.

    `add` never waits for the disk and never raises. Rows are written when `flush_rows` wait, after
    `flush_seconds`, and by `close`, which the end of the process calls; a process that is killed
    loses those that wait. Where the disk is full or read-only they are dropped and counted, and one
    line is logged. The same thread deletes files over `days` days old. Threads and processes may
    share a folder. clock : the time now, aware of its time zone.
    """

    def __init__(
        self,
        folder: Path,
        *,
        days: int = 30,
        flush_rows: int = 10_000,
        flush_seconds: float = 60.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder, self.days = folder, days
        self.flush_rows, self.flush_seconds = flush_rows, flush_seconds
        self.clock = clock
        self._begin()
        atexit.register(self.close)

    def _begin(self) -> None:
        self.written = self.dropped = 0
        self._process = os.getpid()
        self._rows: list[Mapping[str, Any]] = []
        self._changed = threading.Condition()
        self._on_disk = threading.Lock()
        self._tidied_on: date | None = None
        self._complained = self._closed = False
        self._thread = threading.Thread(target=self._run, name="traffic log", daemon=True)
        self._thread.start()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row of `row_of`."""
        self._go_on_after_fork()
        with self._changed:
            if self._closed or len(self._rows) >= MOST_WAITING:
                self.dropped += 1
                return
            self._rows.append(row)
            if len(self._rows) == self.flush_rows:
                self._changed.notify()

    def flush(self) -> None:
        """Write what waits, now."""
        self._go_on_after_fork()
        # One at a time: whoever calls it finds all rows on disk that were added before.
        with self._on_disk:
            with self._changed:
                rows, self._rows = self._rows, []
            for _, of_day in groupby(sorted(rows, key=_time), key=_day):
                self._write(list(of_day))
            self._tidy()

    def close(self) -> None:
        """Write what waits and take no more; a second call does nothing."""
        if self._process != os.getpid():
            return
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            self.flush()
            with self._changed:
                if self._closed and not self._rows:
                    return
                self._changed.wait_for(
                    lambda: self._closed or len(self._rows) >= self.flush_rows, self.flush_seconds
                )

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        try:
            write_flush(rows, self.folder)
        except (OSError, pa.ArrowException) as error:
            self.dropped += len(rows)
            self._complain(f"{len(rows)} rows were dropped, and more may be", error)
        else:
            self.written += len(rows)
            self._complained = False

    def _tidy(self) -> None:
        today = self.clock().astimezone(UTC).date()
        if self._tidied_on == today:
            return
        self._tidied_on = today
        try:
            tidy(self.folder, today=today, days=self.days)
        except (OSError, pa.ArrowException) as error:
            self._complain("old files were not tidied", error)

    def _complain(self, what: str, error: Exception) -> None:
        """Once, until rows are written again."""
        if not self._complained:
            self._complained = True
            logging.getLogger(__name__).warning(
                "The traffic log in %s: %s (%s). Free the disk, or switch the log off: %s=off.",
                self.folder,
                what,
                error,
                VARIABLE,
            )

    def _go_on_after_fork(self) -> None:
        # A fork lacks the thread, may hold a lock for ever, and the parent writes these rows.
        if self._process != os.getpid():
            self._begin()


def open_traffic(params: TrafficParams, *, root: Path) -> TrafficLog | None:
    """The log that the environment (`SER_TRAFFIC`) or the parameters ask for; None for none.

    root : what a folder in the parameters is relative to.
    """
    named = os.environ.get(VARIABLE, "")
    if named.lower() == "off" or not (named or params.enabled):
        return None
    return TrafficLog(
        Path(named).expanduser() if named else root / params.folder,
        days=params.days,
        flush_rows=params.flush_rows,
        flush_seconds=params.flush_seconds,
    )


def _time(row: Mapping[str, Any]) -> datetime:
    time: datetime = row["time"]
    return time.astimezone(UTC)


def _day(row: Mapping[str, Any]) -> date:
    return _time(row).date()
