"""The traffic log: whole files or none, by several writers, for as long as it may be kept."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ser.errors import TableError
from ser.io.storage import traffic_files
from ser.io.storage.traffic import TrafficLog, open_traffic
from ser.io.storage.traffic_files import SCHEMA, read_traffic, tidy, write_flush
from ser.monitoring.traffic import COLUMNS, InputSummary, Served, row_of
from ser.params.traffic import TrafficParams
from ser.predictor import Prediction

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def row(at: datetime = NOON, number: int = 0) -> dict[str, object]:
    """A row whose latency is its number."""
    return row_of(
        Prediction("fear", 0.8, {"fear": 0.8, "anger": 0.2}, ("fear",), enrolled_clips=3),
        InputSummary(3.0, -20.0, 25.0, 8_000.0, 180.0),
        time=at,
        source="server",
        interface="rest",
        served=Served("a" * 64, 3),
        latency_ms=float(number),
    )


def numbers(folder: Path, **bounds: datetime) -> list[int]:
    return [int(n) for n in read_traffic(folder, **bounds)["latency_ms"]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.parquet"))


def at(moment: datetime):
    return lambda: moment


def until(true, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_table_on_disk_has_the_documented_columns_and_types(tmp_path):
    with TrafficLog(tmp_path, clock=at(NOON)) as log:
        log.add(row())
    (file,) = tmp_path.glob("*.parquet")
    schema = pq.read_schema(file)
    assert schema.names == [column.name for column in COLUMNS]
    assert str(schema.field("time").type) == "timestamp[ms, tz=UTC]"
    assert [f.nullable for f in schema] == [column.optional for column in COLUMNS]
    (written,) = pq.read_table(file).to_pylist()
    assert written == row()


def test_rows_are_written_when_enough_wait(tmp_path):
    with TrafficLog(tmp_path, flush_rows=3, clock=at(NOON)) as log:
        for number in range(3):
            log.add(row(number=number))
        until(lambda: names(tmp_path))
        assert numbers(tmp_path) == [0, 1, 2]


def test_a_single_row_is_written_after_a_while(tmp_path):
    with TrafficLog(tmp_path, flush_seconds=0.05, clock=at(NOON)) as log:
        log.add(row())
        until(lambda: names(tmp_path))


def test_a_log_that_is_closed_takes_no_rows(tmp_path):
    log = TrafficLog(tmp_path, clock=at(NOON))
    log.close()
    log.close()
    log.add(row())
    assert (log.written, log.dropped, names(tmp_path)) == (0, 1, [])


def test_a_process_that_ends_leaves_no_row_behind(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path[:0] = sys.argv[2:]; from pathlib import Path;"
            "from io_storage_traffic import row; from ser.io.storage.traffic import TrafficLog;"
            "TrafficLog(Path(sys.argv[1])).add(row())",
            tmp_path,
            _this_module(tmp_path / "module"),
        ],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert numbers(tmp_path) == [0]


def _this_module(folder: Path) -> Path:
    """A folder from which a process imports this file."""
    folder.mkdir()
    (folder / "io_storage_traffic.py").write_text(Path(__file__).read_text())
    return folder


def test_rows_of_two_days_are_two_files(tmp_path):
    with TrafficLog(tmp_path, clock=at(NOON)) as log:
        log.add(row(NOON, 1))
        log.add(row(NOON - timedelta(days=1), 0))
    assert [name[:18] for name in names(tmp_path)] == ["traffic-2026-03-09", "traffic-2026-03-10"]
    assert numbers(tmp_path) == [0, 1]


def test_threads_share_a_log_and_lose_nothing(tmp_path):
    with TrafficLog(tmp_path, flush_rows=50, clock=at(NOON)) as log:
        threads = [
            threading.Thread(
                target=lambda i=i: [log.add(row(number=100 * i + j)) for j in range(100)]
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers(tmp_path)) == list(range(800))
    assert (log.written, log.dropped) == (800, 0)


def _write(folder: Path, start: int, tomorrow: datetime) -> None:
    with TrafficLog(folder, flush_rows=7, clock=at(NOON)) as log:
        for number in range(start, start + 100):
            log.add(row(number=number))
    tidy(folder, today=tomorrow.date(), days=30)


def test_processes_share_a_folder_and_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    tomorrow = NOON + timedelta(days=1)
    writers = [context.Process(target=_write, args=(tmp_path, 100 * i, tomorrow)) for i in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        # Read while they write, and bring files together: no row is there twice.
        found = numbers(tmp_path)
        assert len(found) == len(set(found))
    for writer in writers:
        writer.join()
    tidy(tmp_path, today=tomorrow.date(), days=30)
    assert sorted(numbers(tmp_path)) == list(range(400))
    assert names(tmp_path) == ["traffic-2026-03-10.parquet"]


def test_a_fork_writes_its_own_rows_and_none_of_its_parent_s(tmp_path):
    log = TrafficLog(tmp_path, clock=at(NOON))
    log.add(row(number=1))

    def add() -> None:
        log.add(row(number=2))
        log.close()

    child = multiprocessing.get_context("fork").Process(target=add)
    child.start()
    child.join()
    log.close()
    assert sorted(numbers(tmp_path)) == [1, 2]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import pyarrow.parquet as pq
from io_storage_traffic import row
from ser.io.storage import traffic_files

replace = Path.replace
if sys.argv[3] == "before":
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    Path.unlink = lambda self, **_: (
        os.kill(os.getpid(), signal.SIGKILL) if self.name.startswith("traffic-") else None
    )
folder = Path(sys.argv[1])
if sys.argv[4] == "flush":
    traffic_files.write_flush([row()], folder)
else:
    import datetime
    traffic_files.tidy(folder, today=datetime.date(2026, 3, 11), days=30)
"""


def _killed(tmp_path: Path, *words: str) -> None:
    module = _this_module(tmp_path / "module")
    folder = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", KILLED, folder, module, *words])
    assert done.returncode == -signal.SIGKILL


def test_a_kill_amid_a_write_leaves_no_half_file(tmp_path):
    _killed(tmp_path, "before", "flush")
    (left,) = (tmp_path / "log").iterdir()
    assert left.suffix == ".tmp"
    assert read_traffic(tmp_path / "log").empty
    # Debris is removed once it cannot be in use any more.
    tidy(tmp_path / "log", today=NOON.date(), days=30)
    assert left.exists()
    os.utime(left, (0, 0))
    tidy(tmp_path / "log", today=NOON.date(), days=30)
    assert not left.exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_amid_bringing_together_loses_and_doubles_no_row(tmp_path, when):
    folder = tmp_path / "log"
    for number in range(3):
        write_flush([row(number=number)], folder)
    _killed(tmp_path, when, "tidy")
    assert len(names(folder)) == (3 if when == "before" else 4)
    assert sorted(numbers(folder)) == [0, 1, 2]
    # A row that comes late, after the kill.
    write_flush([row(number=3)], folder)
    tidy(folder, today=NOON.date() + timedelta(days=1), days=30)
    assert names(folder) == ["traffic-2026-03-10.parquet"]
    assert sorted(numbers(folder)) == [0, 1, 2, 3]


def test_files_of_a_day_that_is_over_become_one(tmp_path):
    for number in range(5):
        write_flush([row(number=number)], tmp_path)
    TrafficLog(tmp_path, clock=at(NOON)).close()
    assert len(names(tmp_path)) == 5
    TrafficLog(tmp_path, clock=at(NOON + timedelta(hours=12))).close()
    assert names(tmp_path) == ["traffic-2026-03-10.parquet"]
    assert sorted(numbers(tmp_path)) == list(range(5))
    pq.ParquetFile(tmp_path / "traffic-2026-03-10.parquet").read()


def test_a_log_that_runs_over_midnight_tidies_by_itself(tmp_path):
    now = [NOON]
    with TrafficLog(tmp_path, clock=lambda: now[0]) as log:
        for number in range(2):
            log.add(row(number=number))
            log.flush()
        assert len(names(tmp_path)) == 2
        now[0] += timedelta(days=1)
        log.flush()
        assert names(tmp_path) == ["traffic-2026-03-10.parquet"]


def test_files_are_deleted_when_their_lifetime_is_over(tmp_path):
    for days in (0, 30, 31, 100):
        write_flush([row(NOON - timedelta(days=days), days)], tmp_path)
    (tmp_path / "notes.txt").write_text("not ours")
    TrafficLog(tmp_path, days=30, clock=at(NOON)).close()
    assert sorted(numbers(tmp_path)) == [0, 30]
    assert (tmp_path / "notes.txt").exists()


def test_many_rows_are_brought_together_in_bounded_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(traffic_files, "ROW_GROUP", 4)
    for number in range(5):
        write_flush([row(number=2 * number), row(number=2 * number + 1)], tmp_path)
    tidy(tmp_path, today=NOON.date() + timedelta(days=1), days=30)
    assert pq.ParquetFile(tmp_path / "traffic-2026-03-10.parquet").num_row_groups == 3
    assert sorted(numbers(tmp_path)) == list(range(10))


def test_rows_are_read_between_two_times_in_their_order(tmp_path):
    for hours in (5, 1, 30, 3):
        write_flush([row(NOON + timedelta(hours=hours), hours)], tmp_path)
    assert numbers(tmp_path) == [1, 3, 5, 30]
    assert numbers(tmp_path, since=NOON + timedelta(hours=3)) == [3, 5, 30]
    assert numbers(tmp_path, until=NOON + timedelta(hours=3)) == [1]
    assert numbers(tmp_path, since=datetime(2026, 3, 11)) == [30]


def test_without_traffic_there_are_columns_and_no_rows(tmp_path):
    found = read_traffic(tmp_path / "nowhere")
    assert isinstance(found, pd.DataFrame)
    assert (list(found), len(found)) == (SCHEMA.names, 0)


def test_a_damaged_file_is_named_and_stays_as_it_is(tmp_path):
    kept = write_flush([row()], tmp_path)
    damaged = write_flush([row(number=1)], tmp_path)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(TableError, match=damaged.name):
        read_traffic(tmp_path)
    tidy(tmp_path, today=NOON.date() + timedelta(days=1), days=30)
    assert names(tmp_path) == sorted(["traffic-2026-03-10.parquet", damaged.name])
    assert not kept.exists()


def test_a_disk_that_is_full_drops_rows_counts_them_and_warns_once(tmp_path, caplog):
    with TrafficLog(tmp_path / "log", clock=at(NOON)) as log:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # No file of this process may have a byte more: the kernel refuses as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            with caplog.at_level(logging.WARNING):
                for number in range(3):
                    log.add(row(number=number))
                    log.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (log.written, log.dropped) == (0, 3)
        assert len(caplog.records) == 1
        assert "SER_TRAFFIC=off" in caplog.text
        assert list((tmp_path / "log").iterdir()) == []
        log.add(row(number=4))
    assert numbers(tmp_path / "log") == [4]


def test_a_folder_that_cannot_be_made_fails_no_answer(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with TrafficLog(tmp_path / "file" / "log", clock=at(NOON)) as log:
        log.add(row())
    assert log.dropped == 1
    assert "1 rows were dropped" in caplog.text


@pytest.mark.parametrize(
    ("enabled", "variable", "folder"),
    [
        (True, None, "data/traffic"),
        (False, None, None),
        (True, "off", None),
        (True, "OFF", None),
        (False, "elsewhere", "elsewhere"),
        (True, "elsewhere", "elsewhere"),
    ],
)
def test_one_switch_turns_it_off(tmp_path, monkeypatch, enabled, variable, folder):
    monkeypatch.delenv("SER_TRAFFIC", raising=False)
    if variable:
        where = variable if variable.lower() == "off" else str(tmp_path / variable)
        monkeypatch.setenv("SER_TRAFFIC", where)
    log = open_traffic(TrafficParams(enabled=enabled), root=tmp_path)
    assert (log and log.folder) == (folder and tmp_path / folder)
    if log:
        log.close()
    assert json.dumps(sorted(os.listdir(tmp_path))) == "[]"
