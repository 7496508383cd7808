"""Tables and JSON on disk: written atomically, checked when read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ser.core.tables import BINARY
from ser.errors import TableError

#: Key of `write_table`'s notes in a Parquet table's metadata.
NOTES = b"ser.notes"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary sibling to write; it takes `target`'s place only if the block succeeds.

    Works for a file or a folder; a failed write leaves the old artefact and no debris.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        elif target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_table(table: pd.DataFrame, path: Path, *, notes: Mapping[str, Any] | None = None) -> None:
    """Parquet, or CSV where the name ends so.

    notes : what Parquet keeps beside the columns, for `read_notes`.
    """
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.6g")
            return
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        if notes is not None:
            text = json.dumps(notes, allow_nan=False)
            arrow = arrow.replace_schema_metadata({**arrow.schema.metadata, NOTES: text})
        # Checksums: one flipped bit in a table is an error when it is read.
        pq.write_table(arrow, temporary, write_page_checksum=True)


def read_notes(path: Path) -> dict[str, Any]:
    """The notes of a Parquet table, {} where it has none; raises TableError as `read_table`."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist; make it with `dvc repro`.") from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path) from error
    return json.loads(metadata.get(NOTES, b"{}"))


def read_table(path: Path, check: Callable[[pd.DataFrame], None] | None = None) -> pd.DataFrame:
    """A Parquet table, checked; raises TableError where it is missing or damaged."""
    try:
        table = pq.read_table(path, page_checksum_verification=True).to_pandas(
            types_mapper={pa.binary(): BINARY}.get
        )
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist; make it with `dvc repro`.") from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path) from error
    if check:
        check(table)
    return table


def _unreadable(path: Path) -> TableError:
    return TableError(
        f"{path} is not readable as Parquet; delete it and make it again with `dvc repro`."
    )


def write_json(value: Mapping[str, Any], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as `write_json` lays it out."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist; make it with `dvc repro`.") from error
    except ValueError as error:
        raise TableError(
            f"{path} is not readable as JSON; delete it and make it again with `dvc repro`."
        ) from error
    if not isinstance(value, dict):
        raise TableError(f"{path} holds a {type(value).__name__}; expected a JSON object.")
    return value
