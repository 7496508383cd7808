"""Versions of the registered model, their aliases, and the journal of every verdict.

MLflow keeps no history of aliases, so a verdict is first a row of `mlruns/promotions.jsonl`,
then an alias, then tags. A kill in between leaves at most a version without a `verdict` tag,
which the next flow judges again. A version's files are checked whenever they are fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from ser.bundle import bundle_sha256 as hash_bundle
from ser.errors import DamagedVersion, NoChampion, RegistryError
from ser.io.tracking import journal
from ser.io.tracking.address import shown_uri
from ser.io.tracking.bundles import bundle_of
from ser.io.tracking.health import store_errors
from ser.io.tracking.packaging import log_model
from ser.io.tracking.store import as_default_store, connect
from ser.io.tracking.version import MODEL, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
#: Tag of the registered model by which the journal tells stores apart, wherever they move.
IDENTITY = "ser.store"
#: Seconds to wait for another process that is registering or promoting.
LOCK_TIMEOUT = 600.0


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the registry, so that what is judged is still true when it is acted upon.

    Re-entrant within a thread; readers need no lock.
    """
    path = root.resolve() / "mlruns" / "registry.lock"
    lock = FileLock(path, timeout=LOCK_TIMEOUT, is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RegistryError(
            f"Another process has held {path} for {LOCK_TIMEOUT:.0f} s; end it, then try again."
        ) from error
    except OSError as error:
        raise RegistryError(
            f"{path} cannot be locked ({error.strerror or error}): what serves is changed only "
            "with write access to that folder."
        ) from error
    try:
        yield
    finally:
        lock.release()


def register(
    root: Path,
    bundle_dir: Path,
    *,
    run_id: str,
    bundle_sha256: str,
    scores: Mapping[str, float],
    tags: Mapping[str, object] | None = None,
) -> Version:
    """Log the bundle as a pyfunc model of its training run and make it the challenger.

    scores : logged as tags of the version, rounded to four digits.
    tags : more tags, such as split_sha256, corpora and protocol.
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
        _create_model(client)
        created = client.create_model_version(
            MODEL, f"models:/{model_id}", run_id, tags=every_tag, model_id=model_id
        )
        client.set_registered_model_alias(MODEL, CHALLENGER, created.version)
        return get_version(root, int(created.version))


def versions(root: Path) -> list[Version]:
    """All versions, newest first."""
    client = connect(root)
    found = client.search_model_versions(f"name = '{MODEL}'", max_results=10_000)
    if not found:
        return []
    # A search leaves the aliases out.
    by_alias = client.get_registered_model(MODEL).aliases
    return sorted(
        (
            replace(
                _version(v),
                aliases=tuple(a for a, number in by_alias.items() if str(number) == str(v.version)),
            )
            for v in found
        ),
        key=lambda v: v.version,
        reverse=True,
    )


def get_version(root: Path, version: int) -> Version:
    """One version by its number; raises RegistryError where there is none."""
    return _get(root, connect(root), str(version))


def find_version(root: Path, bundle_sha256: str) -> Version | None:
    """The newest version that holds this very bundle."""
    client = connect(root)
    found = client.search_model_versions(
        f"name = '{MODEL}' AND tags.bundle_sha256 = '{bundle_sha256}'"
    )
    newest = max(found, key=lambda v: int(v.version), default=None)
    return _get(root, client, newest.version) if newest else None


def champion(root: Path) -> Version | None:
    """The version that serves, or None before the first promotion."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(connect(root).get_model_version_by_alias(MODEL, CHAMPION))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def promote(
    root: Path, version: Version, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Version:
    """Make `version` the champion; raises DamagedVersion where it cannot be loaded.

    figures : what the verdict rests on (delta_uar, probability …), for journal and tags.
    """
    fetch_bundle(root, version)
    return _settle(root, version, "promoted", reason, figures or {})


def keep(
    root: Path, version: Version, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Version:
    """Record that `version` was judged and the champion stays."""
    return _settle(root, version, "kept", reason, figures or {})


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
        before = predecessor(root, now)
        if before is None:
            raise RegistryError(
                f"Version {now.version} has no predecessor in the journal that can be loaded; "
                "name the version to serve with `ser promote VERSION`."
            )
        return _hand_over(root, "rolled_back", before, now, reason)


def reinstate(root: Path) -> Version | None:
    """Where there is no champion, make the last one that can be loaded champion again.

    None where nobody was champion yet, or none can be loaded.
    """
    with locked(root):
        if champion(root) is not None:
            raise RegistryError("There is a champion; only an empty place is given back.")
        found = _loadable(root, journal.champions(_history(root)))
        # Without a journal, the verdicts speak.
        found = found or next(
            (v for v in versions(root) if v.verdict == "promoted" and not defect(root, v)), None
        )
        if found is None:
            return None
        reason = "The alias was gone; this is the last champion that can be loaded."
        return _hand_over(root, "reinstated", found, None, reason)


def predecessor(root: Path, version: Version) -> Version | None:
    """The nearest champion before `version` that can be loaded."""
    return _loadable(root, journal.predecessors(_history(root), version.version))


def fetch_bundle(root: Path, version: Version | str | None = None) -> Path:
    """The directory of a registered bundle on this machine, which is not to be written in.

    version : a Version, "models:/emotion-recognition@champion", "models:/…/3", or None for
        the champion.
    Raises NoChampion, DamagedVersion where the files are gone or others than were registered,
    RegistryError.
    """
    chosen = version if isinstance(version, Version) else resolve(root, version)
    return bundle_of(root, chosen, MODEL)


def defect(root: Path, version: Version) -> DamagedVersion | None:
    """Why a version cannot be loaded: its files are gone or changed. None where it can."""
    try:
        fetch_bundle(root, version)
    except DamagedVersion as error:
        return error
    return None


def check_champion(root: Path, *, otherwise: Version) -> Version | None:
    """The champion; raises DamagedVersion, which names what to do, where it cannot be loaded.

    otherwise : a version that can be loaded, whatever the gate thinks of it.
    """
    current = champion(root)
    wrong = defect(root, current) if current else None
    if current is None or wrong is None:
        return current
    ways = [f"`ser promote {otherwise.version}` makes today's model champion"]
    if before := predecessor(root, current):
        ways.insert(0, f"`ser roll-back` serves version {before.version} again")
    raise DamagedVersion(f"The champion cannot serve: {wrong.found}", f"{'; '.join(ways)}.")


def resolve(root: Path, uri: str | None = None) -> Version:
    """The version that a `models:/` URI names, None meaning the champion's."""
    chosen = uri or f"models:/{MODEL}@{CHAMPION}"
    name, _, alias = chosen.removeprefix("models:/").partition("@")
    if chosen.startswith("models:/") and name == MODEL and alias == CHAMPION:
        current = champion(root)
        if current is None:
            raise NoChampion(
                f"No champion yet in {shown_uri(root)}: run `make run` first, or name a model "
                "with --model."
            )
        return current
    if chosen.startswith("models:/") and name == MODEL and alias:
        from mlflow.exceptions import MlflowException

        try:
            return _version(connect(root).get_model_version_by_alias(MODEL, alias))
        except MlflowException as error:
            raise RegistryError(f"No version of {MODEL} has the alias {alias!r}.") from error
    model, _, number = name.rpartition("/")
    if chosen.startswith("models:/") and model == MODEL and number.isdecimal() and not alias:
        return get_version(root, int(number))
    raise RegistryError(
        f"{chosen!r} names no model; expected models:/{MODEL}@champion or models:/{MODEL}/3."
    )


def _settle(
    root: Path, version: Version, verdict: str, reason: str, figures: Mapping[str, Any]
) -> Version:
    client = connect(root)
    with locked(root):
        now = champion(root)
        _withdraw_undone(root, now)
        before = journal.append(
            root,
            event=verdict,
            version=version.version,
            previous=now.version if now else None,
            store=_identity(client),
            reason=reason,
            **figures,
        )
        try:
            if verdict == "promoted":
                client.set_registered_model_alias(MODEL, CHAMPION, str(version.version))
            # `verdict` comes last: its presence says that all the rest is done.
            known = {name: value for name, value in figures.items() if value is not None}
            for tag, value in {**known, "verdict_reason": reason, "verdict": verdict}.items():
                client.set_model_version_tag(MODEL, str(version.version), tag, str(value))
        except Exception:
            if verdict == "kept" or not _serves(root, version):
                journal.take_back(root, before)
            raise
        return get_version(root, version.version)


def _hand_over(root: Path, event: str, to: Version, now: Version | None, reason: str) -> Version:
    """Move the alias, with a row of the journal before it."""
    client = connect(root)
    _withdraw_undone(root, now)
    before = journal.append(
        root,
        event=event,
        version=to.version,
        previous=now.version if now else None,
        store=_identity(client),
        reason=reason,
    )
    try:
        client.set_registered_model_alias(MODEL, CHAMPION, str(to.version))
    except Exception:
        if not _serves(root, to):
            journal.take_back(root, before)
        raise
    return get_version(root, to.version)


def _serves(root: Path, version: Version) -> bool:
    """Whether `version` is the champion after a failure: an answer may be lost, the act done."""
    current = champion(root)
    return current is not None and current.version == version.version


def _withdraw_undone(root: Path, now: Version | None) -> None:
    """Write off the journal's last change where a kill came before the alias moved."""
    serving = now.version if now else None
    changes = [row for row in _history(root) if row["event"] in journal.CHANGES]
    if not changes:
        return
    last = changes[-1]
    if last["version"] != serving and last["previous"] == serving and last.get("store"):
        journal.append(
            root,
            event=journal.WITHDRAWN,
            version=last["version"],
            previous=serving,
            store=last["store"],
            reason="It was written, but the alias never moved.",
        )


def _history(root: Path) -> list[journal.Row]:
    """The journal's rows of this very registry."""
    return journal.rows_of(root, _identity(connect(root), create=False))


def _loadable(root: Path, numbers: Iterator[int]) -> Version | None:
    """The first of them that exists, was not refused by the gate, and can be loaded."""
    known = {v.version: v for v in versions(root)}
    found = (known[number] for number in numbers if number in known)
    return next((v for v in found if v.verdict != "kept" and not defect(root, v)), None)


def _identity(client: MlflowClient, *, create: bool = True) -> str:
    """The registry's own id, which is made with the first row; "" where there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        tags = client.get_registered_model(MODEL).tags
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return ""
    if IDENTITY not in tags and create:
        tags = {IDENTITY: uuid4().hex}
        client.set_registered_model_tag(MODEL, IDENTITY, tags[IDENTITY])
    return str(tags.get(IDENTITY, ""))


def _create_model(client: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            MODEL, description="Speech emotion recognition: one utterance in, an emotion out."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _get(root: Path, client: MlflowClient, version: str) -> Version:
    from mlflow.exceptions import MlflowException

    try:
        return _version(client.get_model_version(MODEL, version))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        known = ", ".join(str(v.version) for v in versions(root))
        remedy = f"known are {known}" if known else "none is registered yet: `make run` does it"
        raise RegistryError(f"{MODEL} has no version {version}; {remedy}.") from error


def _version(found: ModelVersion) -> Version:
    tags = dict(found.tags)
    return Version(
        version=int(found.version),
        run_id=found.run_id or "",
        bundle_sha256=tags.get("bundle_sha256", ""),
        split_sha256=tags.get("split_sha256"),
        aliases=tuple(found.aliases),
        verdict=tags.get("verdict"),
        verdict_reason=tags.get("verdict_reason"),
        tags=tags,
    )
