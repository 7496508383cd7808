"""The traffic log on disk: a Parquet file for each flush, and one for each day that is over.

Several processes write, tidy and read at once. A day's file names the files that it took in, so
that a kill between its writing and their removal doubles no row.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from ser.errors import TableError
from ser.files import atomic_path
from ser.monitoring.traffic import COLUMNS

TYPES = {
    "time": pa.timestamp("ms", tz="UTC"),
    "text": pa.string(),
    "integer": pa.int64(),
    "real": pa.float64(),
}
SCHEMA = pa.schema([pa.field(c.name, TYPES[c.kind], nullable=c.optional) for c in COLUMNS])
#: A day's file and, with a time, process and random part, that of a flush.
NAME = re.compile(r"traffic-(\d{4}-\d\d-\d\d)(T\d{6}-\d+-[0-9a-f]{8})?\.parquet")
#: Key of the names of the files that a day's file took in, in its metadata.
TAKEN_IN = b"ser.taken_in"
#: Rows of a day's file that are held in memory at once.
ROW_GROUP = 100_000
#: Seconds after which an unfinished file is debris of a kill.
ABANDONED = 3600.0
#: How often a folder is listed again whose files go away meanwhile.
ATTEMPTS = 20


def write_flush(rows: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """A new file of rows of one day (UTC), which is there whole or not at all.

    Raises OSError, or pyarrow's error where a row does not fit the schema.
    """
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)
    first = rows[0]["time"].astimezone(UTC)
    name = f"traffic-{first:%Y-%m-%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}.parquet"
    with atomic_path(folder / name) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)
    return folder / name


def tidy(folder: Path, *, today: date, days: int) -> None:
    """Bring the files of each day that is over into one; delete those over `days` days old.

    Where another process does it, nothing is done. A file that cannot be read is left as it is,
    until it is deleted for its age. Raises OSError, on a full disk for example.
    """
    if not folder.is_dir():
        return
    with suppress(Timeout), FileLock(folder / ".tidying.lock.tmp", timeout=0):
        for path, day in files_of(folder):
            if day < today - timedelta(days=days):
                path.unlink(missing_ok=True)
        before = time.time() - ABANDONED
        for path in folder.glob(".traffic-*.parquet.*.tmp"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
        for day in sorted({day for _, day in files_of(folder) if day < today}):
            _bring_together(folder, day)


def read_traffic(
    folder: Path, *, since: datetime | None = None, until: datetime | None = None
) -> pd.DataFrame:
    """The rows of since <= time < until, in order of time; empty where there are none.

    since, until : without a time zone they are UTC. Integers are pandas' nullable ones. Raises
    TableError where a file is not readable as Parquet.
    """
    first, last = (_in_utc(bound) for bound in (since, until))
    table = pa.concat_tables([SCHEMA.empty_table(), *_tables(folder, first, last)])
    rows = in_pandas(table)
    wanted = pd.Series(True, index=rows.index)
    if first is not None:
        wanted &= rows["time"] >= first
    if last is not None:
        wanted &= rows["time"] < last
    return rows[wanted].sort_values("time", kind="stable", ignore_index=True)


def in_pandas(table: pa.Table) -> pd.DataFrame:
    """The table with pandas' nullable integers."""
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def _in_utc(bound: datetime | None) -> pd.Timestamp | None:
    if bound is None:
        return None
    stamp = pd.Timestamp(bound)
    return stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)


def _tables(folder: Path, first: pd.Timestamp | None, last: pd.Timestamp | None) -> list[pa.Table]:
    """Tables of the days from `first` to `last`."""
    for _ in range(ATTEMPTS):
        paths = [
            path
            for path, day in files_of(folder)
            if (first is None or first.date() <= day) and (last is None or day <= last.date())
        ]
        tables: list[pa.Table] = []
        taken_in: set[str] = set()
        try:
            # A day's own file comes before those that it took in: "." is sorted before "T".
            for path in sorted(paths):
                if path.name not in taken_in:
                    table = _read(path)
                    taken_in.update(taken_in_by(table.schema))
                    tables.append(fitted(table))
        except FileNotFoundError:
            # Brought together with others, or deleted, since the folder was listed.
            continue
        return tables
    raise TableError(f"Files of {folder} keep going away while they are read. Try again.")


def files_of(folder: Path) -> list[tuple[Path, date]]:
    """The log's own files, and the day of each."""
    found = []
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if match := NAME.fullmatch(name):
                found.append((folder / name, date.fromisoformat(match[1])))
    return found


def _bring_together(folder: Path, day: date) -> None:
    """One file of all the files of a day."""
    whole = folder / f"traffic-{day}.parquet"
    parts = sorted(path for path, of in files_of(folder) if of == day and path != whole)
    held = []
    if whole.exists():
        schema = _schema_of(whole)
        if schema is None:
            return
        # What a kill left: they are in the day's file already.
        left = set(taken_in_by(schema))
        for path in parts:
            if path.name in left:
                path.unlink(missing_ok=True)
        parts = [path for path in parts if path.name not in left]
        held.append(whole)
    parts = [path for path in parts if _schema_of(path) is not None]
    if not parts:
        return
    notes = {TAKEN_IN: json.dumps([path.name for path in parts])}
    with (
        atomic_path(whole) as temporary,
        pq.ParquetWriter(
            temporary, SCHEMA.with_metadata(notes), write_page_checksum=True
        ) as writer,
    ):
        for group in _groups([*held, *parts]):
            writer.write_table(group)
    for path in parts:
        path.unlink(missing_ok=True)


def _groups(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """The rows of all files, in tables of about `ROW_GROUP`."""
    tables: list[pa.Table] = []
    for path in paths:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                tables.append(fitted(pa.Table.from_batches([batch])))
                if sum(map(len, tables)) >= ROW_GROUP:
                    yield pa.concat_tables(tables)
                    tables = []
    if tables:
        yield pa.concat_tables(tables)


def _schema_of(path: Path) -> pa.Schema | None:
    """The schema of a file; None where not all of it is readable."""
    try:
        return _read(path).schema
    except TableError:
        return None


def _read(path: Path) -> pa.Table:
    """Raises FileNotFoundError, and TableError where it is not readable as Parquet."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read()
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path) from error


def unreadable(path: Path) -> TableError:
    """What to raise of a file that is damaged."""
    return TableError(
        f"{path} is not readable as Parquet; delete it, its rows of the traffic log are lost."
    )


def fitted(table: pa.Table) -> pa.Table:
    """The table with the columns of `SCHEMA`: those that another release left out are null."""
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def taken_in_by(schema: pa.Schema) -> list[str]:
    """Names of the files that a day's file took in."""
    return list(json.loads((schema.metadata or {}).get(TAKEN_IN, b"[]")))
