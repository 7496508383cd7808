"""Registered versions of the model, as MLflow's registry lists them; nothing here changes one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ser.errors import NoChampion, RegistryError
from ser.io.tracking.address import shown_uri
from ser.io.tracking.health import lookup
from ser.io.tracking.store import connect

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL = "emotion-recognition"
CHAMPION, CHALLENGER = "champion", "challenger"
URI = re.compile(rf"models:/{MODEL}(?:@(?P<alias>.+)|/(?P<number>[0-9]{{1,9}}))")


@dataclass(frozen=True)
class Version:
    """A registered version; `verdict` is None until the gate has judged it."""

    version: int
    run_id: str
    bundle_sha256: str
    split_sha256: str | None
    aliases: tuple[str, ...]
    verdict: str | None
    verdict_reason: str | None
    tags: Mapping[str, str]

    @classmethod
    def unregistered(cls, *, run_id: str, bundle_sha256: str, split_sha256: str) -> Version:
        """A model that is judged without being registered: number 0."""
        return cls(0, run_id, bundle_sha256, split_sha256, (), None, None, {})


def all_versions(root: Path) -> list[Version]:
    """All versions, newest first."""
    client = connect(root)
    model = lookup(client.get_registered_model, MODEL)
    if model is None:
        return []
    found = client.search_model_versions(
        f"name = '{MODEL}'", max_results=10_000, order_by=["version_number DESC"]
    )
    # A search leaves the aliases out.
    return [
        _version(v, [a for a, number in model.aliases.items() if int(number) == int(v.version)])
        for v in found
    ]


def get_version(root: Path, version: int) -> Version:
    """One version by its number; raises RegistryError where there is none."""
    found = lookup(connect(root).get_model_version, MODEL, str(version))
    if found is None:
        known = ", ".join(str(v.version) for v in all_versions(root))
        remedy = f"known are {known}" if known else "none is registered yet: `make run` does it"
        raise RegistryError(f"{MODEL} has no version {version}; {remedy}.")
    return _version(found, found.aliases)


def find_version(root: Path, bundle_sha256: str) -> Version | None:
    """The newest version of this very bundle."""
    found = connect(root).search_model_versions(
        f"name = '{MODEL}' AND tags.bundle_sha256 = '{bundle_sha256}'",
        max_results=1,
        order_by=["version_number DESC"],
    )
    return get_version(root, int(found[0].version)) if found else None


def champion(root: Path) -> Version | None:
    """The version that serves, or None before the first promotion."""
    return _by_alias(root, CHAMPION)


def resolve(root: Path, uri: str | None = None, *, otherwise: str = "") -> Version:
    """The version that a `models:/` URI names, None meaning the champion's.

    otherwise : what can be done where there is no champion yet, besides training.
    """
    named = URI.fullmatch(uri or f"models:/{MODEL}@{CHAMPION}")
    if named is None:
        raise RegistryError(
            f"{uri!r} names no model; expected models:/{MODEL}@champion or models:/{MODEL}/3."
        )
    if named["number"]:
        return get_version(root, int(named["number"]))
    version = _by_alias(root, named["alias"])
    if version is None and named["alias"] == CHAMPION:
        raise NoChampion(f"No champion yet in {shown_uri(root)}: run `make run` first{otherwise}.")
    if version is None:
        raise RegistryError(f"No version of {MODEL} has the alias {named['alias']!r}.")
    return version


def named(root: Path, name: str) -> Version:
    """The version that a person names: 3, v3, champion, challenger, or a `models:/` URI."""
    number = name.removeprefix("v")
    if number.isdecimal():
        return get_version(root, int(number))
    return resolve(root, name if name.startswith("models:") else f"models:/{MODEL}@{name}")


def _by_alias(root: Path, alias: str) -> Version | None:
    found = lookup(connect(root).get_model_version_by_alias, MODEL, alias)
    return _version(found, found.aliases) if found else None


def _version(found: ModelVersion, aliases: Iterable[str]) -> Version:
    tags = dict(found.tags)
    return Version(
        version=int(found.version),
        run_id=found.run_id or "",
        bundle_sha256=tags.get("bundle_sha256", ""),
        split_sha256=tags.get("split_sha256"),
        aliases=tuple(aliases),
        verdict=tags.get("verdict"),
        verdict_reason=tags.get("verdict_reason"),
        tags=tags,
    )
