"""A folder of shards brought up to date: only recordings that it does not know are computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ser.errors import AudioError
from ser.io.storage import shards
from ser.io.storage.shards import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Storage(Generic[T]):
    """How what is stored of recordings is written and read.

    write : (SHA-256, value) pairs of a shard -> the file's SHA-256; read : some rows of a shard.
    """

    write: Callable[[Sequence[tuple[str, T]], Path], str]
    read: Callable[[Path, Iterable[int]], list[T]]


@dataclass(frozen=True)
class Filled:
    """What was done: shards (name -> SHA-256), recordings computed, and those that failed."""

    shards: dict[str, str]
    computed: int
    failures: tuple[AudioError, ...]


def fill(
    folder: Path,
    recipe: Recipe,
    parts: Iterable[Sequence[str]],
    *,
    compute: Callable[[list[str]], Iterator[T | AudioError]],
    storage: Storage[T],
) -> Filled:
    """Make the shard of each part, of old shards' rows where they are intact.

    parts : the SHA-256 of each shard's recordings, each recording once. compute : called once,
    with all that is to be computed; yields a value or the reason for none, in that order. A part
    of which a recording fails is not written; whatever was finished before an interruption
    stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    intact = shards.intact_shards(folder, recipe)
    known = shards.recordings_in(folder, intact)
    plan = {recipe.shard_name(part): list(part) for part in parts}
    made = {name: sha256 for name, sha256 in intact.items() if name in plan}
    todo = [sha256 for name in plan if name not in made for sha256 in plan[name]]
    new = [sha256 for sha256 in todo if sha256 not in known]
    computed = compute(new)
    failures: list[AudioError] = []
    try:
        for name, part in plan.items():
            if name in made:
                continue
            values = _old(folder, part, known, storage)
            for sha256 in part:
                if sha256 in known:
                    continue
                value = next(computed)
                if isinstance(value, AudioError):
                    failures.append(value)
                else:
                    values[sha256] = value
            if len(values) == len(part):
                pairs = [(sha256, values[sha256]) for sha256 in part]
                made[name] = storage.write(pairs, folder / name)
    finally:
        kept = made if len(made) == len(plan) else {**intact, **made}
        shards.write_index(folder, recipe, kept)
    return Filled(made, len(new), tuple(failures))


def _old(
    folder: Path, part: Sequence[str], known: dict[str, tuple[str, int]], storage: Storage[T]
) -> dict[str, T]:
    """What older shards hold of a part."""
    rows_of: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for sha256 in part:
        if sha256 in known:
            shard, row = known[sha256]
            rows_of[shard].append((sha256, row))
    values: dict[str, T] = {}
    for shard, places in rows_of.items():
        read = storage.read(folder / shard, [row for _, row in places])
        values |= zip([sha256 for sha256, _ in places], read, strict=True)
    return values
