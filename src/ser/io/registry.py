"""Versions of the registered model, their aliases, and the journal of every verdict.

MLflow keeps no history of aliases, so a verdict is first a row of `mlruns/promotions.jsonl`,
then an alias, then tags. A kill in between leaves at most a version without a `verdict` tag,
which the next flow judges again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from filelock import FileLock, Timeout

from ser.errors import NoChampion, RegistryError
from ser.io import journal
from ser.io.mlflow_store import as_default_store, connect, tracking_uri
from ser.io.packaging import log_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL = "emotion-recognition"
CHAMPION, CHALLENGER = "champion", "challenger"
#: Seconds to wait for another process that is registering or promoting.
LOCK_TIMEOUT = 600.0


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

    @property
    def uri(self) -> str:
        return f"models:/{MODEL}/{self.version}"


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the registry, so that what is judged is still true when it is acted upon.

    Re-entrant within a thread; readers need no lock.
    """
    path = root.resolve() / "mlruns" / "registry.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=LOCK_TIMEOUT, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise RegistryError(
            f"Another process has held {path} for {LOCK_TIMEOUT:.0f} s; end it, then try again."
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
    """
    client = connect(root)
    every_tag = {
        "bundle_sha256": bundle_sha256,
        **{name: f"{score:.4f}" for name, score in scores.items()},
        **{name: str(value) for name, value in (tags or {}).items()},
    }
    with locked(root), as_default_store(root):
        model_id = log_model(root, bundle_dir, run_id=run_id, name=MODEL)
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
    """Make `version` the champion.

    figures : what the verdict rests on (delta_uar, probability …), for journal and tags.
    """
    return _settle(root, version, "promoted", reason, figures or {})


def keep(
    root: Path, version: Version, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Version:
    """Record that `version` was judged and the champion stays."""
    return _settle(root, version, "kept", reason, figures or {})


def roll_back(root: Path, *, reason: str) -> Version:
    """Give the alias back to the champion before this one; again, to the one before that."""
    with locked(root):
        now = champion(root)
        if now is None:
            raise NoChampion("No champion yet, so there is nothing to roll back to.")
        known = {v.version for v in versions(root)}
        before = journal.predecessor(root, now.version)
        if before is None or before not in known:
            raise RegistryError(
                f"Version {now.version} has no predecessor in the journal; "
                "name the version to serve with `ser promote VERSION`."
            )
        journal.append(
            root, event="rolled_back", version=before, previous=now.version, reason=reason
        )
        connect(root).set_registered_model_alias(MODEL, CHAMPION, str(before))
        return get_version(root, before)


def fetch_bundle(
    root: Path, version: Version | str | None = None, dest: Path | None = None
) -> Path:
    """The directory of a registered bundle, on this machine.

    version : a Version, "models:/emotion-recognition@champion", "models:/…/3", or None for
        the champion.
    dest : copy it there; else a local store's own directory is returned (do not write in it),
        or a temporary one for a remote store.
    Raises NoChampion, RegistryError.
    """
    from mlflow.artifacts import download_artifacts

    client = connect(root)
    chosen = version if isinstance(version, Version) else resolve(root, version)
    source = client.get_model_version_download_uri(MODEL, str(chosen.version))
    local = urlparse(source)
    if dest is None and local.scheme in ("", "file"):
        directory = Path(unquote(local.path)) / "artifacts" / "bundle"
        if not directory.is_dir():
            raise RegistryError(
                f"The files of version {chosen.version} are gone: {directory} does not exist. "
                "Restore mlruns/artifacts, or train again with `make run`."
            )
        return directory
    if dest is not None:
        dest.mkdir(parents=True, exist_ok=True)
    with as_default_store(root):
        path = download_artifacts(
            artifact_uri=f"{source}/artifacts/bundle", dst_path=str(dest) if dest else None
        )
    return Path(path)


def resolve(root: Path, uri: str | None = None) -> Version:
    """The version that a `models:/` URI names, None meaning the champion's."""
    chosen = uri or f"models:/{MODEL}@{CHAMPION}"
    name, _, alias = chosen.removeprefix("models:/").partition("@")
    if chosen.startswith("models:/") and name == MODEL and alias == CHAMPION:
        current = champion(root)
        if current is None:
            raise NoChampion(
                f"No champion yet in {tracking_uri(root)}: run `make run` first, or name a model "
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
        journal.append(
            root,
            event=verdict,
            version=version.version,
            previous=now.version if now else None,
            reason=reason,
            **figures,
        )
        if verdict == "promoted":
            client.set_registered_model_alias(MODEL, CHAMPION, str(version.version))
        # `verdict` comes last: its presence says that all the rest is done.
        known = {name: value for name, value in figures.items() if value is not None}
        for tag, value in {**known, "verdict_reason": reason, "verdict": verdict}.items():
            client.set_model_version_tag(MODEL, str(version.version), tag, str(value))
        return get_version(root, version.version)


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
        known = ", ".join(str(v.version) for v in versions(root)) or "none"
        raise RegistryError(f"{MODEL} has no version {version}; known are {known}.") from error


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
