"""Tables on disk: written atomically, checked when read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ser.core.utterance.tables import BINARY
from ser.errors import TableError
from ser.files import MAKE, atomic_path

#: Key of `write_table`'s notes in a Parquet table's metadata.
NOTES = b"ser.notes"


def write_table(table: pd.DataFrame, path: Path, *, notes: Mapping[str, Any] | None = None) -> None:
    """Parquet, or CSV where the name ends so.

    notes : stored in the Parquet file's metadata, for `read_notes`.
    """
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.6g", errors="backslashreplace")
            return
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        if notes is not None:
            text = json.dumps(notes, allow_nan=False)
            arrow = arrow.replace_schema_metadata({**arrow.schema.metadata, NOTES: text})
        # Checksums: one flipped bit in a table is an error when it is read.
        pq.write_table(arrow, temporary, write_page_checksum=True)


def read_notes(path: Path) -> dict[str, Any]:
    """The notes of a Parquet table, {} where it has none; raises TableError as `read_table`."""
    with _as_parquet(path):
        metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(NOTES, b"{}"))


def read_table(
    path: Path, check: Callable[[pd.DataFrame], None] | None = None, *, remedy: str = MAKE
) -> pd.DataFrame:
    """A Parquet table, checked; raises TableError where it is missing or damaged.

    remedy : for a file that no stage makes.
    """
    with _as_parquet(path, remedy):
        table = pq.read_table(path, page_checksum_verification=True).to_pandas(
            types_mapper={pa.binary(): BINARY}.get
        )
    if check:
        check(table)
    return table


@contextmanager
def _as_parquet(path: Path, remedy: str = MAKE) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist. {remedy}") from error
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} is not readable as Parquet. {remedy}") from error
