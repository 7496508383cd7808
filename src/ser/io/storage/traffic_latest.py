"""The last rows of the traffic log, without reading all of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ser.errors import TableError
from ser.io.storage.traffic_files import (
    ATTEMPTS,
    NAME,
    SCHEMA,
    files_of,
    fitted,
    in_pandas,
    taken_in_by,
    unreadable,
)


def read_latest(folder: Path, *, bundle_sha256: str, most: int, since: date) -> pd.DataFrame:
    """The last answers of a bundle, about `most` of them, in order of time.

    since : the first day (UTC) that is looked at. Files are read from the newest on, a row group at
    a time: the last rows of a busy server cost no more than those of a quiet one. Raises TableError
    where a file is not readable as Parquet.
    """
    for _ in range(ATTEMPTS):
        found: list[pa.Table] = [SCHEMA.empty_table()]
        try:
            for group in _newest_first(folder, since):
                found.append(group.filter(pc.equal(group["bundle_sha256"], bundle_sha256)))
                if sum(map(len, found)) >= most:
                    break
        except FileNotFoundError:
            # Brought together with others, or deleted, since the folder was listed.
            continue
        rows = in_pandas(pa.concat_tables(found))
        return rows.sort_values("time", kind="stable", ignore_index=True)
    raise TableError(f"Files of {folder} keep going away while they are read. Try again.")


def _newest_first(folder: Path, since: date) -> Iterator[pa.Table]:
    files = [(path, day) for path, day in files_of(folder) if day >= since]
    for day in sorted({day for _, day in files}, reverse=True):
        paths = sorted((path for path, of in files if of == day), reverse=True)
        whole = [path for path in paths if _is_whole_day(path)]
        held = {name for path in whole for name in _taken_in(path)}
        flushes = [path for path in paths if path not in whole and path.name not in held]
        for path in [*flushes, *whole]:
            yield from _groups(path)


def _is_whole_day(path: Path) -> bool:
    match = NAME.fullmatch(path.name)
    return match is not None and match[2] is None


def _taken_in(path: Path) -> list[str]:
    try:
        return taken_in_by(pq.read_schema(path))
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path) from error


def _groups(path: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for number in reversed(range(file.num_row_groups)):
                yield fitted(file.read_row_group(number))
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path) from error
