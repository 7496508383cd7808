"""Tables, sequences and JSON on disk: written atomically, checked when read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ser.errors import TableError


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


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Parquet, or CSV where the name ends so."""
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.6g")
        else:
            table.to_parquet(temporary, index=False)


def read_table(path: Path, check: Callable[[pd.DataFrame], None] | None = None) -> pd.DataFrame:
    """A Parquet table, checked; raises TableError where it is missing or damaged."""
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist; make it with `dvc repro`.") from error
    except (OSError, pa.ArrowException) as error:
        raise TableError(
            f"{path} is not readable as Parquet; delete it and make it again with `dvc repro`."
        ) from error
    if check:
        check(table)
    return table


def write_json(value: Mapping[str, Any], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


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


def write_sequences(sequences: Iterable[tuple[str, np.ndarray]], path: Path) -> None:
    """One shard of frame sequences, each (n_frames, n_columns) float16, as an Arrow file."""
    files, values, columns = [], [], []
    for file, sequence in sequences:
        files.append(file)
        values.append(np.ascontiguousarray(sequence, dtype=np.float16).reshape(-1))
        columns.append(sequence.shape[1])
    offsets = np.concatenate([[0], np.cumsum([v.size for v in values])])
    table = pa.table(
        {
            "file": pa.array(files, pa.string()),
            "columns": pa.array(columns, pa.int32()),
            "values": pa.LargeListArray.from_arrays(
                pa.array(offsets, pa.int64()), pa.array(np.concatenate(values), pa.float16())
            ),
        }
    )
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)


def read_sequences(folder: Path) -> dict[str, np.ndarray]:
    """All shards of a folder: file -> (n_frames, n_columns) float16."""
    sequences: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.arrow")):
        try:
            with pa.OSFile(str(path), "rb") as source:
                table = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowException) as error:
            raise TableError(
                f"{path} is damaged; delete it and make it again with `dvc repro`."
            ) from error
        for chunk in table.to_batches():
            offsets = chunk["values"].offsets.to_numpy()
            flat = chunk["values"].values.to_numpy(zero_copy_only=False)
            for i, (file, columns) in enumerate(
                zip(chunk["file"].to_pylist(), chunk["columns"].to_pylist(), strict=True)
            ):
                sequences[file] = flat[offsets[i] : offsets[i + 1]].reshape(-1, columns)
    return sequences
