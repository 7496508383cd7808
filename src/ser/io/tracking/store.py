"""Where MLflow keeps runs and models: a server if one is named, else SQLite in the project.

MLflow is imported inside functions, as its import takes two seconds.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ser.errors import RegistryError
from ser.io.tracking.address import (
    VARIABLE,
    adopt_credentials,
    masked,
    shown_uri,
    sqlite_file,
    tracking_uri,
)
from ser.io.tracking.health import check_database, guarded, is_outdated, store_errors
from ser.io.web.loopback import bypass_proxies

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "speech-emotion"
#: Of `ser benchmark`, apart from the pipeline's own runs.
BENCHMARKS = "speech-emotion-benchmarks"
#: Without it MLflow's UI takes the experiment for a language model's.
TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
#: Seconds to wait for another process that is creating the store.
STORE_TIMEOUT = 120.0
#: Seconds in which a tracking server must answer.
SERVER_TIMEOUT = 10.0


def prepare_store(root: Path, experiment: str = EXPERIMENT) -> str:
    """Make the store ready and return the experiment's id; safe in any number of processes.

    Raises RegistryError where the store cannot be used, or the experiment is deleted.
    """
    from mlflow.exceptions import MlflowException

    client = connect(root, thoroughly=True)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        database = sqlite_file(root)
        # Beside the database; a server has its own place.
        artifacts = (database.parent / "artifacts").as_uri() if database else None
        try:
            return str(
                client.create_experiment(
                    experiment, artifact_location=artifacts, tags=TRAINING_VIEW
                )
            )
        except MlflowException:
            # Another process was quicker; if none was, the creation's own error stands.
            found = client.get_experiment_by_name(experiment)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        # A shell that has the variable set needs no more of it, least of all a password.
        uri = f"{VARIABLE}={shlex.quote(tracking_uri(root))} "
        command = f"mlflow experiments restore --experiment-id {found.experiment_id}"
        raise RegistryError(
            f"The experiment {experiment!r} is deleted in {shown_uri(root)}: MLflow takes no runs "
            f"for it. Restore it with `{'' if os.environ.get(VARIABLE) else uri}{command}`."
        )
    return str(found.experiment_id)


def connect(root: Path, *, thoroughly: bool = False) -> MlflowClient:
    """A client of the store of `root`, which is created or migrated first if need be.

    A store that is there is only read. thoroughly : look for damage in all of a SQLite file.
    Raises RegistryError, here and at each call, where the store fails.
    """
    uri = tracking_uri(root)
    adopt_credentials()
    bypass_proxies()
    database = sqlite_file(root)
    if database is not None:
        _prepare_database(database, thoroughly=thoroughly)
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with store_errors(root):
            return guarded(MlflowClient(uri, registry_uri=uri), root)
    except MlflowException as error:
        first = str(error).splitlines()[0]
        raise RegistryError(f"MLflow cannot use {shown_uri(root)}: {masked(first)}") from error


@contextmanager
def as_default_store(root: Path) -> Iterator[None]:
    """Make `root`'s store MLflow's default, quietly, for calls that accept no client.

    MLflow reads the environment there; its `set_tracking_uri` would change it for good.
    """
    adopt_credentials()
    settings = {
        VARIABLE: tracking_uri(root),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _prepare_database(database: Path, *, thoroughly: bool) -> None:
    """Create the SQLite store, or bring one of an older MLflow up to date."""
    try:
        if not os.path.lexists(database):
            _create_database(database)
        revision = check_database(database, thoroughly=thoroughly)
        if is_outdated(database, revision):
            _migrate_database(database)
    except OSError as error:
        # Of FileLock, too: a Timeout is one.
        raise RegistryError(
            f"{database}, MLflow's store, cannot be made ready ({error.strerror or error}). Give "
            "this user write access to its folder, and end other processes that hold it."
        ) from error


def _create_database(database: Path) -> None:
    """Create the SQLite store, in one process at a time."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_suffix(".lock"), timeout=STORE_TIMEOUT):
        if database.exists():
            return
        # Built beside and renamed: a kill amid the migrations leaves no half-made store,
        # which MLflow could neither use nor repair.
        unfinished = _unfinished(database)
        _upgrade(unfinished)
        unfinished.replace(database)


def _migrate_database(database: Path) -> None:
    """Bring a store of an older MLflow up to date; the old one is kept beside it."""
    with FileLock(database.with_suffix(".lock"), timeout=STORE_TIMEOUT):
        if not is_outdated(database, check_database(database)):
            return
        unfinished = _unfinished(database)
        shutil.copy2(database, unfinished)
        try:
            _upgrade(unfinished)
        except Exception as error:
            unfinished.unlink(missing_ok=True)
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise RegistryError(
                f"{database}, MLflow's store, has an older schema and cannot be upgraded "
                f"({first}); it is as it was. Copy it, try `mlflow db upgrade "
                f"sqlite:///{database}`, or move it away to start an empty store."
            ) from error
        shutil.copy2(database, database.with_suffix(".before-upgrade.db"))
        unfinished.replace(database)


def _unfinished(database: Path) -> Path:
    """Where a store is made before it takes its place; what a kill left there is removed."""
    path = database.with_suffix(".new")
    for leftover in (path, path.with_name(f"{path.name}-journal")):
        leftover.unlink(missing_ok=True)
    return path


def _upgrade(database: Path) -> None:
    from mlflow.db import commands

    # What creates many tables says so in as many lines.
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The command line's own `mlflow db upgrade`, without the four seconds of a new process.
    commands.main(["upgrade", f"sqlite:///{database}"], standalone_mode=False)


def _check_server(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_TIMEOUT).close()
    except urllib.error.HTTPError:
        # It answers, if only to ask who we are.
        return
    except (OSError, HTTPException, ValueError) as error:
        raise RegistryError(
            f"No MLflow server answers at {uri} ({error}). Start it, or unset {VARIABLE} to use "
            "the project's own store."
        ) from error
