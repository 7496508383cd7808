"""Folders of shards brought up to date: only what they do not hold is computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
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
class Store(Generic[T]):
    """A folder of shards, what its values depend on, and which of them share a shard.

    parts : groups of shards' keys, each key once; group k of all stores is made before group
    k + 1 of any, so that what is made of one recording is made together.
    """

    folder: Path
    recipe: Recipe
    parts: Sequence[Sequence[Sequence[str]]]
    storage: Storage[T]


@dataclass(frozen=True)
class Filled:
    """What was done: shards (name -> SHA-256), values computed and known, and those that failed."""

    shards: dict[str, str]
    computed: int
    known: int
    failures: tuple[AudioError, ...]


def fill(
    stores: Sequence[Store[T]], *, compute: Callable[[list[str]], Iterator[T | AudioError]]
) -> list[Filled]:
    """Make the shards of each store, of old shards' rows where they are intact.

    compute : called once, with the keys of all that is to be computed; yields a value or the
    reason for none, in that order. A shard of which a value fails is not written; whatever was
    finished before an interruption stays.
    """
    filling = [_Filling(store) for store in stores]
    groups = zip_longest(*(own.groups for own in filling), fillvalue=())
    plan = [
        (own, name)
        for group in groups
        for own, names in zip(filling, group, strict=True)
        for name in names
    ]
    computed = compute([key for own, name in plan for key in own.new(name)])
    try:
        for own, name in plan:
            own.make(name, computed)
    finally:
        for own in filling:
            own.write_index()
    return [own.filled() for own in filling]


class _Filling(Generic[T]):
    """A store while it is filled."""

    def __init__(self, store: Store[T]) -> None:
        self.store = store
        store.folder.mkdir(parents=True, exist_ok=True)
        self.intact = shards.intact_shards(store.folder, store.recipe)
        self.known = shards.recordings_in(store.folder, self.intact)
        named = [{store.recipe.shard_name(part): part for part in group} for group in store.parts]
        self.plan = {name: part for group in named for name, part in group.items()}
        self.groups = [tuple(group) for group in named]
        self.made = {name: sha for name, sha in self.intact.items() if name in self.plan}
        self.computed = 0
        self.failures: list[AudioError] = []

    def new(self, name: str) -> list[str]:
        """The keys of a shard whose values are to be computed."""
        return [] if name in self.made else [k for k in self.plan[name] if k not in self.known]

    def make(self, name: str, computed: Iterator[T | AudioError]) -> None:
        """Write a shard, with the next values of `computed` and what older shards hold."""
        if name in self.made:
            return
        part, folder = self.plan[name], self.store.folder
        values = _old(folder, part, self.known, self.store.storage)
        for key in self.new(name):
            value = next(computed)
            self.computed += 1
            if isinstance(value, AudioError):
                self.failures.append(value)
            else:
                values[key] = value
        if len(values) == len(part):
            pairs = [(key, values[key]) for key in part]
            self.made[name] = self.store.storage.write(pairs, folder / name)

    def write_index(self) -> None:
        whole = len(self.made) == len(self.plan)
        kept = self.made if whole else {**self.intact, **self.made}
        shards.write_index(self.store.folder, self.store.recipe, kept)

    def filled(self) -> Filled:
        known = sum(map(len, self.plan.values())) - self.computed
        return Filled(self.made, self.computed, known, tuple(self.failures))


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
