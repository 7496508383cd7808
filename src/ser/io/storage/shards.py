"""Features on disk: Arrow files named after their content, and an index of their SHA-256.

A folder of shards depends on the recordings, the feature parameters and the feature code alone,
never on the order of computing: a shard is named after all three. The index, `shards.json`, shows
a flipped byte before anything is trained on it. The stage `embed` stores its embeddings in such a
folder, too (see `io.storage.embeddings`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.feather import read_table, write_feather

from ser.core.features.extract import Features
from ser.errors import DamagedFeatures, TableError
from ser.files import atomic_path, file_hash, hash_files, json_text, read_json, write_json
from ser.project import EMBEDDINGS

INDEX = "shards.json"


@dataclass(frozen=True)
class Recipe:
    """What, beside the recording, determines its features.

    params : the feature parameters; code : hash of the source that computes them.
    """

    params: Mapping[str, Any]
    code: str

    def shard_name(self, recordings: Sequence[str]) -> str:
        """File name of the shard of these recordings' SHA-256, in this order."""
        content = json.dumps([dict(self.params), self.code, list(recordings)], sort_keys=True)
        return f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.arrow"


def stage_of(folder: Path) -> str:
    """The stage that writes a folder of shards."""
    return "embed" if folder.name == EMBEDDINGS.name else "featurize"


def write_shard(features: Sequence[tuple[str, Features]], path: Path) -> str:
    """Write features of recordings, given with their SHA-256; returns the file's own."""
    sequences = [np.ascontiguousarray(f.log_mel, dtype=np.float16) for _, f in features]
    offsets = np.cumsum([0, *(sequence.size for sequence in sequences)])
    functionals = np.stack([f.functionals.to_numpy(np.float32) for _, f in features])
    names = json.dumps(list(features[0][1].functionals.index))
    table = pa.table(
        {
            "sha256": pa.array([sha256 for sha256, _ in features], pa.string()),
            "functionals": pa.FixedSizeListArray.from_arrays(
                pa.array(functionals.reshape(-1)), functionals.shape[1]
            ),
            "n_mels": pa.array([sequence.shape[1] for sequence in sequences], pa.int32()),
            "log_mel": pa.LargeListArray.from_arrays(
                pa.array(offsets, pa.int64()),
                pa.array(np.concatenate([s.reshape(-1) for s in sequences]), pa.float16()),
            ),
        }
    ).replace_schema_metadata({"functionals": names})
    return write_arrow(table, path)


def write_arrow(table: pa.Table, path: Path) -> str:
    """Write a shard's table; returns the file's SHA-256."""
    with atomic_path(path) as temporary:
        write_feather(table, temporary, compression="uncompressed")
        return file_hash(temporary)


def write_index(folder: Path, recipe: Recipe, shards: Mapping[str, str]) -> None:
    """Record which shards (name -> SHA-256) make up the folder; others are deleted."""
    content = {
        "params": dict(recipe.params),
        "code": recipe.code,
        "shards": dict(sorted(shards.items())),
    }
    write_json({**content, "sha256": _proof(content)}, folder / INDEX)
    for path in folder.glob("*.arrow"):
        if path.name not in shards:
            path.unlink()


def clear(folder: Path) -> None:
    """Write an index of no shards; those in the folder are deleted."""
    folder.mkdir(parents=True, exist_ok=True)
    write_index(folder, Recipe({}, ""), {})


def read_index(folder: Path) -> tuple[Recipe, dict[str, str]]:
    """The recipe and the shards' SHA-256; raises DamagedFeatures where the index was changed."""
    index = read_json(folder / INDEX)
    content = {key: index.get(key) for key in ("params", "code", "shards")}
    # Byte for byte: a flipped bit in a blank counts, too.
    as_written = json_text({**content, "sha256": _proof(content)})
    if (folder / INDEX).read_text(encoding="utf-8") != as_written:
        raise _damaged(folder, f"{folder / INDEX} was changed after it was written")
    return Recipe(index["params"], index["code"]), index["shards"]


def intact_shards(folder: Path, recipe: Recipe) -> dict[str, str]:
    """Shards of this recipe with the SHA-256 in the index, name -> SHA-256."""
    try:
        recorded, shards = read_index(folder)
    except (TableError, DamagedFeatures):
        return {}
    if recorded != recipe:
        return {}
    found = _hashes(folder, shards)
    return {name: sha256 for name, sha256 in shards.items() if found.get(name) == sha256}


def check_shards(folder: Path) -> None:
    """Raise DamagedFeatures unless every shard has the SHA-256 in the index."""
    shards = read_index(folder)[1]
    found = _hashes(folder, shards)
    for name, sha256 in shards.items():
        if name not in found:
            raise _damaged(folder, f"{folder / name} is missing or cannot be read")
        if found[name] != sha256:
            raise _damaged(
                folder,
                f"{folder / name} has SHA-256 {found[name][:12]}…, but {sha256[:12]}… was "
                "recorded: its bytes changed",
            )


def read_shard(path: Path) -> dict[str, Features]:
    """The features in a shard by their recordings' SHA-256."""
    table = read_arrow(path)
    rows = zip(_functionals(table).iterrows(), _log_mels(table), strict=True)
    return {str(sha256): Features(functionals, log_mel) for (sha256, functionals), log_mel in rows}


def read_functionals(folder: Path) -> pd.DataFrame:
    """Functionals of all recordings, float32 (n, n_functionals), indexed by SHA-256."""
    return pd.concat(_functionals(table) for table in _tables(folder))


def read_sequences(folder: Path) -> dict[str, np.ndarray]:
    """Log-mels of all recordings by SHA-256, each (n_frames, n_mels) float16.

    They are views of the files' pages: what is not used is not held in memory.
    """
    sequences: dict[str, np.ndarray] = {}
    for table in _tables(folder):
        sequences |= zip(table["sha256"].to_pylist(), _log_mels(table), strict=True)
    return sequences


def read_arrow(path: Path) -> pa.Table:
    """A shard's table, mapped into memory; raises DamagedFeatures where it is none."""
    try:
        return read_table(path, memory_map=True)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path.parent, f"{path} is no readable shard of features") from error


def _tables(folder: Path) -> Iterator[pa.Table]:
    return (read_arrow(folder / name) for name in read_index(folder)[1])


def _functionals(table: pa.Table) -> pd.DataFrame:
    column = table["functionals"].combine_chunks()
    values = column.flatten().to_numpy().reshape(len(column), -1)
    names = json.loads(table.schema.metadata[b"functionals"])
    return pd.DataFrame(values, index=table["sha256"].to_pylist(), columns=names)


def _log_mels(table: pa.Table) -> list[np.ndarray]:
    column = table["log_mel"].combine_chunks()
    offsets = column.offsets.to_numpy()
    flat = column.values.to_numpy()
    n_mels = table["n_mels"].to_pylist()
    return [
        flat[start:stop].reshape(-1, columns)
        for start, stop, columns in zip(offsets[:-1], offsets[1:], n_mels, strict=True)
    ]


def _hashes(folder: Path, shards: Iterable[str]) -> dict[str, str]:
    return hash_files({name: folder / name for name in shards}, "sha256")


def _proof(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _damaged(folder: Path, found: str) -> DamagedFeatures:
    return DamagedFeatures(
        f"{found}; make it again with `dvc repro -f {stage_of(folder)}`, which computes nothing "
        "but what is damaged."
    )
