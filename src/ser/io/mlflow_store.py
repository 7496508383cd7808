"""Where MLflow keeps runs and models: a server if one is named, else SQLite in the project.

MLflow is imported inside functions, as its import takes two seconds.
"""

from __future__ import annotations

import logging
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ser.errors import RegistryError

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


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else SQLite under the project that `root` belongs to."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_database(root)}"


def project_of(root: Path) -> Path:
    """The project that owns the stores of `root`: itself, or the one that experiments there.

    `dvc exp run --temp` and `--queue` run in a clone under .dvc/tmp/exps that is deleted after.
    """
    root = root.resolve()
    for folder in root.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return root


def prepare_store(root: Path, experiment: str = EXPERIMENT) -> str:
    """Make the store ready and return the experiment's id; safe in any number of processes.

    Raises RegistryError if MLFLOW_TRACKING_URI names a server that does not answer.
    """
    from mlflow.exceptions import MlflowException

    client = connect(root)
    found = client.get_experiment_by_name(experiment)
    if found is not None:
        return str(found.experiment_id)
    artifacts = (project_of(root) / "mlruns" / "artifacts").as_uri() if _is_local(root) else None
    try:
        return str(
            client.create_experiment(experiment, artifact_location=artifacts, tags=TRAINING_VIEW)
        )
    except MlflowException:
        # Another process was quicker; if none was, the creation's own error stands.
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise
        return str(found.experiment_id)


def connect(root: Path) -> MlflowClient:
    """A client of the store of `root`, which is created or migrated first if need be."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = tracking_uri(root)
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
    if not _is_local(root):
        return MlflowClient(uri, registry_uri=uri)
    _create_database(_database(root))
    try:
        return MlflowClient(uri, registry_uri=uri)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
        _migrate_database(_database(root))
        return MlflowClient(uri, registry_uri=uri)


@contextmanager
def as_default_store(root: Path) -> Iterator[None]:
    """Make `root`'s store MLflow's default, quietly, for calls that accept no client.

    MLflow reads the environment there; its `set_tracking_uri` would change it for good.
    """
    settings = {
        "MLFLOW_TRACKING_URI": tracking_uri(root),
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


def _is_local(root: Path) -> bool:
    return tracking_uri(root) == f"sqlite:///{_database(root)}"


def _database(root: Path) -> Path:
    return project_of(root) / "mlruns" / "mlflow.db"


def _create_database(database: Path) -> None:
    """Create the SQLite store, in one process at a time."""
    # What creates many tables says so in as many lines.
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_suffix(".lock"), timeout=STORE_TIMEOUT):
        if database.exists():
            return
        # Built beside and renamed: a kill amid the migrations leaves no half-made store,
        # which MLflow could neither use nor repair.
        unfinished = database.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _upgrade(unfinished)
        unfinished.replace(database)


def _migrate_database(database: Path) -> None:
    """Bring a store of an older MLflow up to date; the old one is kept beside it."""
    with FileLock(database.with_suffix(".lock"), timeout=STORE_TIMEOUT):
        shutil.copy2(database, database.with_suffix(".before-upgrade.db"))
        _upgrade(database)


def _upgrade(database: Path) -> None:
    from mlflow.db import commands

    # The command line's own `mlflow db upgrade`, without the four seconds of a new process.
    commands.main(["upgrade", f"sqlite:///{database}"], standalone_mode=False)


def _check_server(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_TIMEOUT).close()
    except urllib.error.HTTPError:
        # It answers, if only to ask who we are.
        return
    except OSError as error:
        raise RegistryError(
            f"No MLflow server answers at {uri} ({error}). Start it, or unset "
            "MLFLOW_TRACKING_URI to use the project's own store."
        ) from error
