"""MLflow runs: what was trained, from what, and how it scored.

MLflow is imported inside functions, as its import takes two seconds. Every call names its
run, so that processes and threads never share an "active run".
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ser.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "speech-emotion"
#: Seconds to wait for another process that is creating the store.
STORE_TIMEOUT = 120.0
#: The splits whose scores become `<split>/<score>`, which MLflow's UI draws as one group.
SPLITS = ("train", "dev", "test")


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI if set, else SQLite under `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_database(root)}"


def prepare_store(root: Path) -> str:
    """Make the store ready and return the experiment's id; safe in any number of processes."""
    client = connect(root)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return experiment.experiment_id
    from mlflow.exceptions import MlflowException

    local = tracking_uri(root).endswith(str(_database(root)))
    artifacts = (root.resolve() / "mlruns" / "artifacts").as_uri() if local else None
    try:
        return client.create_experiment(EXPERIMENT, artifact_location=artifacts)
    except MlflowException:
        # Another process was quicker; without it, the creation's own error stands.
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            raise
        return experiment.experiment_id


def connect(root: Path) -> MlflowClient:
    """A client of the store of `root`, which is created or migrated first if need be."""
    from mlflow import MlflowClient

    uri = tracking_uri(root)
    if uri == f"sqlite:///{_database(root)}":
        _prepare_database(_database(root))
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


@dataclass(frozen=True)
class Run:
    """A handle on one MLflow run, open or ended."""

    run_id: str
    _client: MlflowClient

    def log_params(self, params: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in params.items()]
        # MLflow takes at most 100 parameters a batch.
        for start in range(0, len(entries), 100):
            self._client.log_batch(self.run_id, params=entries[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scores: `dev_uar` and `dev/uar` both become `dev/uar`; step is the epoch."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(_grouped(k), float(v), now, step or 0) for k, v in metrics.items()]
        for start in range(0, len(entries), 1000):
            self._client.log_batch(self.run_id, metrics=entries[start : start + 1000])

    def log_epoch(self, epoch: int, scores: Mapping[str, float]) -> None:
        """A model's `on_epoch`: one point on each learning curve."""
        self.log_metrics(scores, step=epoch)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        from mlflow.entities import RunTag

        entries = [RunTag(key, str(value)) for key, value in tags.items()]
        self._client.log_batch(self.run_id, tags=entries)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or a directory's files, under `folder` of the run's artifacts."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), folder)
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def log_dataset(
        self, *, name: str, digest: str, source: str, context: str = "training"
    ) -> None:
        """Record an input of the run.

        digest : DVC's md5 of a file or directory, at most 36 characters.
        source : where it lies, relative to the project or a URL.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name, digest=digest, source_type="dvc", source=json.dumps({"url": source})
        )
        tag = InputTag("mlflow.data.context", context)
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [tag])])


@contextmanager
def start_run(
    root: Path,
    *,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, object] | None = None,
) -> Iterator[Run]:
    """A new run that ends FINISHED, FAILED on an error, KILLED on Ctrl-C and SIGTERM.

    params : nested mapping, logged as `model.cnn.dropout`.
    """
    experiment = prepare_store(root)
    client = connect(root)
    end_orphans(root, client=client)
    every_tag = {**lineage_tags(root), **(tags or {}), "mlflow.source.name": name}
    created = client.create_run(
        experiment, run_name=name, tags={key: str(value) for key, value in every_tag.items()}
    )
    run = Run(created.info.run_id, client)
    status = "KILLED"
    try:
        with _sigterm_unwinds():
            run.log_params(flatten(params))
            yield run
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        client.set_terminated(run.run_id, status)


def resume_run(root: Path, run_id: str) -> Run:
    """The handle of an ended run, to log more into it; its status stays as it is."""
    return Run(run_id, connect(root))


def log_lineage(root: Path, run_id: str) -> None:
    """Log the dvc.lock that holds after evaluation: code, data and outs of the run, by hash."""
    run, lock = resume_run(root, run_id), root / "dvc.lock"
    run.log_artifact(lock)
    run.set_tags({"dvc.lock.sha256": hashlib.sha256(lock.read_bytes()).hexdigest()})


def fetch_artifact(root: Path, run_id: str, path: str) -> Path:
    """A file that a run logged, on this machine; raises RegistryError if it is gone."""
    from mlflow.exceptions import MlflowException

    try:
        with as_default_store(root):
            return Path(connect(root).download_artifacts(run_id, path))
    except (MlflowException, OSError) as error:
        raise RegistryError(
            f"MLflow has no {path} of run {run_id}; train again with `make run`."
        ) from error


def run_exists(root: Path, run_id: str) -> bool:
    """Whether the store knows this run, and it is not deleted."""
    from mlflow.exceptions import MlflowException

    try:
        run = connect(root).get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return run.info.lifecycle_stage == "active"


def end_orphans(root: Path, *, client: MlflowClient | None = None) -> list[str]:
    """End runs that a SIGKILL left RUNNING on this host; returns their ids."""
    client = client or connect(root)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    running = client.search_runs(
        [experiment.experiment_id],
        f"attributes.status = 'RUNNING' AND tags.`process.host` = '{socket.gethostname()}'",
    )
    orphans = [run.info.run_id for run in running if not _alive(int(run.data.tags["process.pid"]))]
    for run_id in orphans:
        client.set_terminated(run_id, "KILLED")
    return orphans


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"model": {"name": "cnn"}}` -> `{"model.name": "cnn"}`; sequences become JSON."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            flat[prefix + key] = json.dumps(value)
        else:
            flat[prefix + key] = str(value)
    return flat


def lineage_tags(root: Path) -> dict[str, str]:
    """Who, where, and from which state of code and data; empty facts are left out."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "process.host": socket.gethostname(),
        "process.pid": str(os.getpid()),
        **git_revision(root),
    }
    lock = root / "dvc.lock"
    if lock.exists():
        tags["dvc.lock.sha256"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    for tag, variable in (
        ("dvc.exp.name", "DVC_EXP_NAME"),
        ("dvc.exp.baseline", "DVC_EXP_BASELINE_REV"),
    ):
        if os.environ.get(variable):
            tags[tag] = os.environ[variable]
    return tags


def git_revision(root: Path) -> dict[str, str]:
    """`mlflow.source.git.commit` and `git.dirty` ("true" with uncommitted changes), or {}."""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        return {"mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}
    return {}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _user() -> str:
    # In a container the uid may have no name.
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.getuid())


def _database(root: Path) -> Path:
    return root.resolve() / "mlruns" / "mlflow.db"


def _prepare_database(database: Path) -> None:
    """Create or migrate the SQLite store, in one process at a time."""
    import logging

    from mlflow.db import upgrade

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
        upgrade.callback(f"sqlite:///{unfinished}")
        unfinished.replace(database)


def _grouped(name: str) -> str:
    split, separator, score = name.partition("_")
    return f"{split}/{score}" if separator and split in SPLITS else name


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Make SIGTERM unwind the stack, so that the run is ended rather than left RUNNING."""

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
