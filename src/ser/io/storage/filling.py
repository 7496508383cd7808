"""Folders of shards brought up to date: only values that they do not hold are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Generic, TypeVar

from ser.errors import AudioError
from ser.io.storage.shards import Recipe, intact_shards, read_arrow, write_index

T = TypeVar("T")


class Store(Generic[T]):
    """A folder of shards while it is filled.

    recipe : what, beside the recordings, the values depend on.
    parts : groups of shards' keys, each key once; group k of all stores is filled before group
        k + 1 of any, so that all values of one recording are computed together.
    write : (key, value) pairs of a shard -> the file's SHA-256; read : a shard's values by key.
    shards : those that are complete, name -> SHA-256; computed : how many values were computed;
    failures : why others have no value.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        parts: Sequence[Sequence[Sequence[str]]],
        *,
        write: Callable[[Sequence[tuple[str, T]], Path], str],
        read: Callable[[Path], Mapping[str, T]],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.recipe, self._write, self._read = folder, recipe, write, read
        self._old = intact_shards(folder, recipe)
        self._shard_of = {
            key: name
            for name in self._old
            for key in read_arrow(folder / name)["sha256"].to_pylist()
        }
        self.groups = [{recipe.shard_name(part): part for part in group} for group in parts]
        self._parts = {name: part for group in self.groups for name, part in group.items()}
        self.shards = {name: sha256 for name, sha256 in self._old.items() if name in self._parts}
        self.computed = 0
        self.failures: list[AudioError] = []

    @property
    def known(self) -> int:
        """How many values were stored before."""
        return sum(map(len, self._parts.values())) - self.computed

    def lacks(self, name: str) -> list[str]:
        """The keys of a shard whose values are to be computed."""
        part = () if name in self.shards else self._parts[name]
        return [key for key in part if key not in self._shard_of]

    def fill(self, name: str, computed: Iterator[T | AudioError]) -> None:
        """Write a shard, of the next values of `computed` and those of older shards."""
        if name in self.shards:
            return
        part = self._parts[name]
        values: dict[str, T] = {}
        for shard in {self._shard_of[key] for key in part if key in self._shard_of}:
            values.update(self._read(self.folder / shard))
        for key in self.lacks(name):
            value = next(computed)
            self.computed += 1
            if isinstance(value, AudioError):
                self.failures.append(value)
            else:
                values[key] = value
        if all(key in values for key in part):
            pairs = [(key, values[key]) for key in part]
            self.shards[name] = self._write(pairs, self.folder / name)

    def finish(self) -> None:
        """Write the index; old shards stay unless all new ones are complete."""
        complete = len(self.shards) == len(self._parts)
        write_index(self.folder, self.recipe, self.shards if complete else self._old | self.shards)


def fill(
    stores: Sequence[Store[T]], *, compute: Callable[[list[str]], Iterator[T | AudioError]]
) -> None:
    """Fill the stores, with values of old shards where these are intact.

    compute : called once, with the keys of all that is to be computed; yields a value or the
    reason for none, in that order. A shard of which a value fails is not written; whatever was
    finished before an interruption stays.
    """
    groups = zip_longest(*(store.groups for store in stores), fillvalue={})
    plan = [
        (store, name)
        for group in groups
        for store, names in zip(stores, group, strict=True)
        for name in names
    ]
    computed = compute([key for store, name in plan for key in store.lacks(name)])
    try:
        for store, name in plan:
            store.fill(name, computed)
    finally:
        for store in stores:
            store.finish()
