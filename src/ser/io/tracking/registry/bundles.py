"""The files of registered versions on this machine, checked against what was registered."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlparse

from ser.bundle import bundle_sha256
from ser.errors import DamagedVersion
from ser.io.tracking.address import local_place, masked, project_of
from ser.io.tracking.health import first_line, store_errors
from ser.io.tracking.patience import patiently
from ser.io.tracking.registry.versions import CHAMPION, MODEL, Version, resolve
from ser.io.tracking.store import as_default_store, connect

T = TypeVar("T")
#: Bundles of a remote store, by hash; those used last are kept.
FOLDER = Path(".ser/bundles")
KEPT = 4
#: Seconds after which an unfinished download is debris of a kill.
ABANDONED = 3600.0


def fetch_bundle(root: Path, version: Version | str | None = None) -> Path:
    """The directory of a version's bundle: a local store's own (do not write in it), or a copy.

    version : a Version, "models:/emotion-recognition@champion", "models:/…/3", or None for
        the champion.
    Raises NoChampion, DamagedVersion where the files are gone or have another hash than the
    version's tag, RegistryError where the store fails.
    """
    if not isinstance(version, Version):
        version = resolve(root, version)
    expected = version.bundle_sha256
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise _damaged(version, f"its tag bundle_sha256 is {expected[:80]!r}, and no SHA-256")
    source = _source(root, version)
    local = urlparse(source)
    if local.scheme in ("", "file"):
        directory = local_place(root, Path(unquote(local.path)) / "artifacts" / "bundle")
        if not directory.is_dir():
            raise _damaged(version, f"its files are gone: {directory} does not exist")
        if _hash(directory) != expected:
            raise _damaged(version, f"{directory} is not what was registered (other SHA-256)")
        return directory
    kept = _cache(root) / expected
    if _hash(kept) != expected:
        _download(root, version, f"{source}/artifacts/bundle", kept)
    with suppress(OSError):
        kept.touch()
        _prune(kept.parent)
    return kept


@contextmanager
def fetch_artifact(root: Path, version: Version, name: str) -> Iterator[Path]:
    """A file beside the version's bundle: a local store's own, or a copy for as long as it is held.

    Raises DamagedVersion where it is not there, RegistryError where the store fails.
    """
    source = _source(root, version)
    local = urlparse(source)
    if local.scheme in ("", "file"):
        path = local_place(root, Path(unquote(local.path)) / "artifacts") / name
        if not path.is_file():
            raise _damaged(version, f"{path} does not exist")
        yield path
        return
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            with as_default_store(root):
                uri = f"{source}/artifacts/{name}"
                download = partial(download_artifacts, artifact_uri=uri, dst_path=folder)
                path = Path(_asked(root, download))
        except (MlflowException, FileNotFoundError) as error:
            raise _damaged(version, f"it has no {name} ({first_line(error)})") from error
        yield path


def defect(root: Path, version: Version) -> DamagedVersion | None:
    """Why a version cannot be loaded: its files are gone or changed. None where it can."""
    try:
        fetch_bundle(root, version)
    except DamagedVersion as error:
        return error
    return None


def _source(root: Path, version: Version) -> str:
    from mlflow.exceptions import MlflowException

    try:
        return str(connect(root).get_model_version_download_uri(MODEL, str(version.version)))
    except MlflowException as error:
        raise _damaged(version, f"its logged model is gone ({first_line(error)})") from error


def _download(root: Path, version: Version, uri: str, kept: Path) -> None:
    from mlflow.artifacts import download_artifacts, list_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".") as folder:
        try:
            with as_default_store(root):
                # A download of nothing fails like a server that is away.
                if not _asked(root, partial(list_artifacts, artifact_uri=uri)):
                    raise FileNotFoundError(f"nothing is at {uri}")
                download = partial(download_artifacts, artifact_uri=uri, dst_path=folder)
                path = Path(_asked(root, download))
        except (MlflowException, FileNotFoundError) as error:
            raise _damaged(version, f"its files are gone ({first_line(error)})") from error
        if _hash(path) != version.bundle_sha256:
            raise _damaged(version, f"{masked(uri)} is not what was registered (other SHA-256)")
        shutil.rmtree(kept, ignore_errors=True)
        path.rename(kept)


def _asked(root: Path, call: Callable[[], T]) -> T:
    """What MLflow answers to a function that takes no client."""

    def attempt() -> T:
        with store_errors(root):
            return call()

    return patiently(root, attempt)


def _hash(directory: Path) -> str | None:
    """Hash of the bundle; None where it cannot be one."""
    try:
        return bundle_sha256(directory)
    except OSError:
        return None


def _cache(root: Path) -> Path:
    folder = project_of(root) / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return _folder_of_this_process()


@cache
def _folder_of_this_process() -> Path:
    """Bundles of a read-only project, until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="ser-bundles-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _prune(folder: Path) -> None:
    entries = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    abandoned = time.time() - ABANDONED
    whole = [path for path in entries if not path.name.startswith(".")]
    debris = [p for p in entries if p.name.startswith(".") and p.stat().st_mtime < abandoned]
    for path in (*whole[KEPT:], *debris):
        shutil.rmtree(path, ignore_errors=True)


def _damaged(version: Version, what: str) -> DamagedVersion:
    serves = CHAMPION in version.aliases
    return DamagedVersion(
        f"Version {version.version} cannot be loaded: {what}.",
        "Restore it, or " + ("let `make run` mend it." if serves else "name another version."),
    )
