"""One change of who serves: a row of the journal, then the alias, then tags.

MLflow keeps no history of aliases. What a kill in between leaves, `mending` notices. A version's
files are checked whenever they are fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ser.io.tracking.health import lookup
from ser.io.tracking.registry import agreement, journal
from ser.io.tracking.registry.agreement import verdict_tags
from ser.io.tracking.registry.bundles import defect
from ser.io.tracking.registry.versions import (
    CHAMPION,
    MODEL,
    Version,
    all_versions,
    champion,
    get_version,
)
from ser.io.tracking.store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Tag of the registered model: the id of this store in the journal, also after a move.
IDENTITY = "ser.store"


def write(
    root: Path,
    event: str,
    version: Version,
    reason: str,
    figures: Mapping[str, Any] | None = None,
) -> Version:
    """Write a row of the journal, then move the alias, then set tags, as the event demands.

    Where the alias or the tags fail, the row is taken back. Call it under the lock, where journal
    and registry agree.
    """
    client, number = connect(root), str(version.version)
    row = journal.new_row(
        event=event,
        version=version.version,
        previous=number_of(champion(root)),
        store=identity(client),
        reason=reason,
        **(figures or {}),
    )
    tags = verdict_tags(row) if event in ("promoted", "kept") else {}
    before = journal.append(root, row)
    try:
        if event in agreement.MOVES:
            client.set_registered_model_alias(MODEL, CHAMPION, number)
            tags = {agreement.SINCE: row["at"], **tags}
        for name, value in tags.items():
            client.set_model_version_tag(MODEL, number, name, value)
    except Exception:
        # The alias may be moved although the store's answer was lost.
        if event == "kept" or not _serves(root, version):
            journal.take_back(root, before)
        raise
    return get_version(root, version.version)


def _serves(root: Path, version: Version) -> bool:
    current = champion(root)
    return current is not None and current.version == version.version


def number_of(version: Version | None) -> int | None:
    return version.version if version else None


def history(root: Path) -> list[journal.Row]:
    """The journal's rows of this very registry."""
    return journal.rows_of(root, identity(connect(root), create=False))


def loadable(root: Path, numbers: Iterable[int]) -> Version | None:
    """The first of these versions that exists, was not refused by the gate, and can be loaded."""
    known = {v.version: v for v in all_versions(root)}
    found = (known[number] for number in dict.fromkeys(numbers) if number in known)
    return next((v for v in found if v.verdict != "kept" and not defect(root, v)), None)


def identity(client: MlflowClient, *, create: bool = True) -> str:
    """The registry's own id, which is made with the first row; "" where there is none yet."""
    model = lookup(client.get_registered_model, MODEL)
    if model is None:
        return ""
    found = model.tags.get(IDENTITY, "")
    if not found and create:
        found = uuid4().hex
        client.set_registered_model_tag(MODEL, IDENTITY, found)
    return str(found)
