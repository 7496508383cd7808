"""The last rows of the traffic log: the same as those of all rows, read from the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ser.errors import TableError
from ser.io.storage import traffic_files
from ser.io.storage.traffic_files import SCHEMA, tidy, write_flush
from ser.io.storage.traffic_latest import read_latest

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
OWN, OTHER = "a" * 64, "b" * 64


def rows(first: int, n: int, sha: str = OWN, day: int = 0) -> list[dict[str, Any]]:
    """Rows a second apart, whose latency is their number."""
    return [
        {
            **dict.fromkeys(SCHEMA.names),
            "time": NOON + timedelta(days=day, seconds=number),
            "source": "server",
            "interface": "rest",
            "bundle_sha256": sha,
            "latency_ms": float(number),
        }
        for number in range(first, first + n)
    ]


def latest(folder: Path, most: int, since: int = 0) -> list[int]:
    first = (NOON + timedelta(days=since)).date()
    found = read_latest(folder, bundle_sha256=OWN, most=most, since=first)
    return [int(n) for n in found["latency_ms"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten rows of a day that is over, ten flushes of five rows of the next one."""
    write_flush(rows(0, 10), tmp_path)
    tidy(tmp_path, today=(NOON + timedelta(days=1)).date(), days=30)
    for first in range(10, 60, 5):
        write_flush(rows(first, 5, day=1), tmp_path)
    return tmp_path


def test_the_last_rows_come_in_order_of_time_whole_files_at_least(folder):
    assert latest(folder, 8) == list(range(50, 60))
    assert latest(folder, 10) == list(range(50, 60))
    assert latest(folder, 55) == list(range(60))
    assert latest(folder, 1000) == list(range(60))


def test_days_before_the_first_are_not_read(folder):
    assert latest(folder, 1000, since=1) == list(range(10, 60))


def test_only_files_that_are_needed_are_opened(folder, monkeypatch):
    opened = []
    real = pq.ParquetFile
    monkeypatch.setattr(
        pq, "ParquetFile", lambda path, **how: opened.append(path) or real(path, **how)
    )
    latest(folder, 8)
    assert len(opened) == 2


def test_rows_of_another_bundle_are_passed_over(folder):
    write_flush(rows(60, 5, OTHER, day=1), folder)
    assert latest(folder, 8) == list(range(50, 60))


def test_a_file_that_a_day_took_in_is_not_read_twice(folder):
    """A kill came between the writing of the day's file and the removal of its parts."""
    parts = {path: path.read_bytes() for path in folder.glob("*T*.parquet")}
    tidy(folder, today=(NOON + timedelta(days=2)).date(), days=30)
    for path, content in parts.items():
        path.write_bytes(content)
    assert latest(folder, 1000) == list(range(60))


def test_a_day_of_many_rows_is_read_by_parts_from_its_end(folder, monkeypatch):
    monkeypatch.setattr(traffic_files, "ROW_GROUP", 10)
    tidy(folder, today=(NOON + timedelta(days=2)).date(), days=30)
    (day,) = folder.glob("traffic-2026-03-11.parquet")
    assert pq.ParquetFile(day).num_row_groups > 2
    found = latest(folder, 8)
    assert found[-8:] == list(range(52, 60))
    assert len(found) < 50


def test_a_folder_that_is_not_there_has_no_rows_and_a_damaged_file_is_named(folder, tmp_path):
    assert latest(tmp_path / "missing", 8) == []
    broken = max(folder.glob("*.parquet"))
    broken.write_bytes(b"PAR1")
    with pytest.raises(TableError, match="not readable as Parquet; delete it"):
        latest(folder, 8)
