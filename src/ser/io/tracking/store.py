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
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ser.errors import RegistryError
from ser.io.tracking.address import (
    VARIABLE,
    adopt_credentials,
    shown_uri,
    sqlite_file,
    tracking_uri,
)
from ser.io.tracking.health import check_database, first_line, guarded, is_outdated, store_errors
from ser.io.tracking.pages.experiments import BENCHMARKS, EXPERIMENT, one_by_one, page_tags
from ser.io.tracking.patience import note_answer, patiently
from ser.io.web.loopback import bypass_proxies

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["BENCHMARKS", "EXPERIMENT", "as_default_store", "connect", "prepare_store"]
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

        def create() -> str:
            return client.create_experiment(experiment, artifacts, tags=page_tags(experiment, {}))

        try:
            return patiently(root, create)
        except MlflowException:
            # Another process may have created it.
            found = client.get_experiment_by_name(experiment)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        # Not where the shell has the variable already: it may hold a password.
        uri = f"{VARIABLE}={shlex.quote(tracking_uri(root))} "
        command = f"mlflow experiments restore --experiment-id {found.experiment_id}"
        raise RegistryError(
            f"The experiment {experiment!r} is deleted in {shown_uri(root)}: MLflow takes no runs "
            f"for it. Restore it with `{'' if os.environ.get(VARIABLE) else uri}{command}`."
        )
    for name, value in one_by_one(page_tags(experiment, found.tags), found.tags):
        client.set_experiment_tag(found.experiment_id, name, value)
    return str(found.experiment_id)


def connect(root: Path, *, thoroughly: bool = False) -> MlflowClient:
    """A client of the store of `root`, which is created or migrated first if need be.

    An existing store is only read. thoroughly : check all pages of a SQLite file.
    Raises RegistryError, here and at each call, where the store fails.
    """
    uri = tracking_uri(root)
    adopt_credentials()
    bypass_proxies()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with store_errors(root):
            if database := sqlite_file(root):
                _prepare_database(database, thoroughly=thoroughly)
            elif uri.startswith(("http://", "https://")):
                patiently(root, partial(_check_server, uri))
                note_answer(root)
            return guarded(MlflowClient(uri, registry_uri=uri), root)
    except MlflowException as error:
        raise RegistryError(f"MLflow cannot use {shown_uri(root)}: {first_line(error)}.") from error


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
    """Create the SQLite store, or upgrade that of an older MLflow and keep the old one beside it.

    Built beside and renamed: a kill amid the migrations leaves no half-made store, which MLflow
    could neither use nor repair.
    """
    if not _needs_upgrade(database, thoroughly=thoroughly):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_suffix(".lock"), timeout=STORE_TIMEOUT):
        # Another process may have done it.
        if not _needs_upgrade(database):
            return
        unfinished = database.with_suffix(".new")
        for debris in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
            debris.unlink(missing_ok=True)
        if not database.exists():
            _upgrade(unfinished)
        else:
            shutil.copy2(database, unfinished)
            try:
                _upgrade(unfinished)
            except Exception as error:
                unfinished.unlink(missing_ok=True)
                raise RegistryError(
                    f"{database}, MLflow's store, has an older schema and cannot be upgraded "
                    f"({first_line(error)}); it is unchanged. Copy it, try `mlflow db upgrade "
                    f"sqlite:///{database}`, or move it away to start an empty store."
                ) from error
            shutil.copy2(database, database.with_suffix(".before-upgrade.db"))
        unfinished.replace(database)


def _needs_upgrade(database: Path, *, thoroughly: bool = False) -> bool:
    if not os.path.lexists(database):
        return True
    return is_outdated(database, check_database(database, thoroughly=thoroughly))


def _upgrade(database: Path) -> None:
    from mlflow.db import commands

    # They log a line for each table.
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The command line's own `mlflow db upgrade`, without the four seconds of a new process.
    commands.main(["upgrade", f"sqlite:///{database}"], standalone_mode=False)


def _check_server(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_TIMEOUT).close()
    except urllib.error.HTTPError:
        # It answers, if only that it wants a password.
        return
    except (OSError, HTTPException, ValueError) as error:
        raise RegistryError(
            f"No MLflow server answers at {uri} ({error}). Start it, or unset {VARIABLE} to use "
            "the project's own store."
        ) from error
