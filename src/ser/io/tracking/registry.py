"""What changes the registry: new versions, the aliases, and the journal of every verdict.

MLflow keeps no history of aliases, so a verdict is first a row of `mlruns/promotions.jsonl`,
then an alias, then tags. A kill in between leaves at most a version without a `verdict` tag,
which the next flow judges again. A version's files are checked whenever they are fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ser.bundle import bundle_sha256 as hash_bundle
from ser.errors import DamagedVersion, NoChampion, RegistryError
from ser.io.tracking import journal
from ser.io.tracking.bundles import defect, fetch_bundle
from ser.io.tracking.health import lookup, store_errors
from ser.io.tracking.journal import locked
from ser.io.tracking.packaging import log_model
from ser.io.tracking.records import write_record
from ser.io.tracking.store import as_default_store, connect
from ser.io.tracking.versions import (
    CHALLENGER,
    CHAMPION,
    MODEL,
    Version,
    all_versions,
    champion,
    get_version,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Tag of the registered model: the id of this store in the journal, also after a move.
IDENTITY = "ser.store"


def register(
    root: Path,
    bundle_dir: Path,
    *,
    run_id: str,
    bundle_sha256: str,
    scores: Mapping[str, float],
    tags: Mapping[str, object] | None = None,
    record: Mapping[str, Any] | None = None,
) -> Version:
    """Log the bundle as a pyfunc model of its training run and make it the challenger.

    scores : logged as tags of the version, rounded to four digits.
    tags : more tags, such as split_sha256, corpora and protocol.
    record : written as lineage.json beside the bundle.
    Raises RegistryError where the bundle is not the one that `bundle_sha256` names.
    """
    if hash_bundle(bundle_dir) != bundle_sha256:
        raise RegistryError(
            f"{bundle_dir} is not the bundle that was trained: its SHA-256 is not "
            f"{bundle_sha256[:12]}…. Train again: `dvc repro --force -s train`, then `make run`."
        )
    client = connect(root)
    every_tag = {
        "bundle_sha256": bundle_sha256,
        **{name: f"{score:.4f}" for name, score in scores.items()},
        **{name: str(value) for name, value in (tags or {}).items()},
    }
    with locked(root), as_default_store(root):
        with store_errors(root):
            model_id = log_model(
                root, bundle_dir, run_id=run_id, name=MODEL, bundle_sha256=bundle_sha256
            )
        if record is not None:
            write_record(root, model_id, run_id, record)
        _create_model(client)
        created = client.create_model_version(
            MODEL, f"models:/{model_id}", run_id, tags=every_tag, model_id=model_id
        )
        client.set_registered_model_alias(MODEL, CHALLENGER, created.version)
        return get_version(root, int(created.version))


def promote(
    root: Path, version: Version, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Version:
    """Make `version` the champion; raises DamagedVersion where it cannot be loaded.

    figures : what the verdict rests on (delta_uar, probability …), for journal and tags.
    """
    fetch_bundle(root, version)
    return _change(root, "promoted", version, reason, figures)


def keep(
    root: Path, version: Version, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Version:
    """Record that `version` was judged and the champion stays."""
    return _change(root, "kept", version, reason, figures)


def roll_back(root: Path, *, reason: str) -> Version:
    """Give the alias back to the champion before this one; again, to the one before that.

    Predecessors that are deleted, or cannot be loaded, are passed over.
    """
    with locked(root):
        now = champion(root)
        if now is None:
            raise NoChampion(
                "No champion, so there is nothing to roll back from. `make run` gives the place "
                "to the last one that can be loaded, `ser promote VERSION` to another."
            )
        before = _predecessor(root, now)
        if before is None:
            raise RegistryError(
                f"Version {now.version} has no predecessor in the journal that can be loaded; "
                "name the version to serve with `ser promote VERSION`."
            )
        return _change(root, "rolled_back", before, reason)


def reinstate(root: Path) -> Version | None:
    """Where there is no champion, make the last one that can be loaded champion again.

    None where there never was a champion, or none can be loaded.
    """
    with locked(root):
        if champion(root) is not None:
            raise RegistryError("There is a champion; only an empty place is given back.")
        found = _loadable(root, journal.champions(_history(root)))
        if found is None:
            # Without a journal: the last version with the verdict.
            promoted = (v.version for v in all_versions(root) if v.verdict == "promoted")
            found = _loadable(root, promoted)
        if found is None:
            return None
        reason = "The alias was gone; this is the last champion that can be loaded."
        return _change(root, "reinstated", found, reason)


def check_champion(root: Path, *, otherwise: Version) -> Version | None:
    """The champion; raises DamagedVersion, which names what to do, where it cannot be loaded.

    otherwise : a version that can be loaded, whatever its verdict.
    """
    current = champion(root)
    wrong = defect(root, current) if current else None
    if current is None or wrong is None:
        return current
    ways = [f"`ser promote {otherwise.version}` makes today's model champion"]
    if before := _predecessor(root, current):
        ways.insert(0, f"`ser roll-back` serves version {before.version} again")
    raise DamagedVersion(f"The champion cannot serve: {wrong.found}", f"{'; '.join(ways)}.")


def _change(
    root: Path,
    event: str,
    version: Version,
    reason: str,
    figures: Mapping[str, Any] | None = None,
) -> Version:
    """Write a row of the journal, then move the alias, then set tags, as the event demands.

    Where the alias or the tags fail, the row is taken back.
    """
    client, number, figures = connect(root), str(version.version), figures or {}
    tags: dict[str, Any] = {}
    if event in ("promoted", "kept"):
        # `verdict` comes last: its presence says that all the rest is done.
        tags = {**figures, "verdict_reason": reason, "verdict": event}
    with locked(root):
        now, store = champion(root), _identity(client)
        serving = now.version if now else None
        journal.withdraw_undone(root, store, serving)
        before = journal.append(
            root,
            event=event,
            version=version.version,
            previous=serving,
            store=store,
            reason=reason,
            **figures,
        )
        try:
            if event in journal.CHANGES:
                client.set_registered_model_alias(MODEL, CHAMPION, number)
            for name, value in tags.items():
                if value is not None:
                    client.set_model_version_tag(MODEL, number, name, str(value))
        except Exception:
            # The alias may be moved although the store's answer was lost.
            if event == "kept" or not _serves(root, version):
                journal.take_back(root, before)
            raise
        return get_version(root, version.version)


def _serves(root: Path, version: Version) -> bool:
    current = champion(root)
    return current is not None and current.version == version.version


def _history(root: Path) -> list[journal.Row]:
    """The journal's rows of this very registry."""
    return journal.rows_of(root, _identity(connect(root), create=False))


def _predecessor(root: Path, version: Version) -> Version | None:
    """The nearest champion before `version` that can be loaded."""
    return _loadable(root, journal.predecessors(_history(root), version.version))


def _loadable(root: Path, numbers: Iterator[int]) -> Version | None:
    """The first of these versions that exists, was not refused by the gate, and can be loaded."""
    known = {v.version: v for v in all_versions(root)}
    found = (known[number] for number in numbers if number in known)
    return next((v for v in found if v.verdict != "kept" and not defect(root, v)), None)


def _identity(client: MlflowClient, *, create: bool = True) -> str:
    """The registry's own id, which is made with the first row; "" where there is none yet."""
    model = lookup(client.get_registered_model, MODEL)
    if model is None:
        return ""
    found = model.tags.get(IDENTITY, "")
    if not found and create:
        found = uuid4().hex
        client.set_registered_model_tag(MODEL, IDENTITY, found)
    return str(found)


def _create_model(client: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            MODEL, description="Speech emotion recognition: one utterance in, an emotion out."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
