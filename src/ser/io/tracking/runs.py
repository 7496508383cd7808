"""MLflow runs: what was trained, from what, and how it scored.

Every call names its run, so that processes and threads never share an "active run".
"""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse
from uuid import uuid4

from ser.errors import RegistryError
from ser.files import file_hash, is_alive
from ser.interrupts import sigterm_unwinds
from ser.io.tracking.address import local_place
from ser.io.tracking.curves import Curve
from ser.io.tracking.health import lookup
from ser.io.tracking.lineage import git_diff, lineage_tags
from ser.io.tracking.pages.history import named
from ser.io.tracking.patience import impatient, patiently
from ser.io.tracking.store import EXPERIMENT, as_default_store, connect, prepare_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

#: Tag by which a run is found that was made although the server's answer was lost.
REQUEST = "ser.request"
#: Artifact of a run whose code is not committed.
DIFF = "git.diff"


@dataclass(frozen=True)
class Run:
    """A handle on one MLflow run, open or ended."""

    run_id: str
    _client: MlflowClient
    _curve: Curve

    @property
    def name(self) -> str:
        return str(self._client.get_run(self.run_id).info.run_name)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters in batches of 100: MLflow takes no more at once."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in params.items()]
        for start in range(0, len(entries), 100):
            self._client.log_batch(self.run_id, params=entries[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scores under names such as `dev/uar`, which MLflow's UI draws as one group."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(k, float(v), now, step or 0) for k, v in metrics.items()]
        self._client.log_batch(self.run_id, metrics=entries)

    def log_epoch(self, epoch: int, scores: Mapping[str, float]) -> None:
        """A model's `on_epoch`: a point on each learning curve, which is sent while it trains on.

        All of them are recorded when the block of `start_run` has ended.
        """
        self._curve.add(epoch, scores)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        for key, value in tags.items():
            self._client.set_tag(self.run_id, key, str(value))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or a directory by its name, in `folder` of the run's artifacts."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def log_dataset(self, *, name: str, digest: str, source: str) -> None:
        """Record what the run trains on.

        digest : DVC's md5 of a file or directory, at most 36 characters.
        source : its place, relative to the project.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest, source_type="dvc", source=json.dumps({"url": source}))
        tag = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [tag])])


@contextmanager
def start_run(
    root: Path,
    *,
    name: str | None,
    params: Mapping[str, Any],
    tags: Mapping[str, object] | None = None,
    experiment: str = EXPERIMENT,
    run_id: str | None = None,
) -> Iterator[Run]:
    """A run that ends FINISHED, FAILED on an error, KILLED on Ctrl-C and SIGTERM.

    name : None: of model, what differs from the run before, corpora and protocol. A run that goes
        on keeps its own.
    params : nested mapping, logged as `model.cnn.dropout`.
    run_id : a run that was cut off and now goes on; None: a new one.
    """
    experiment_id = prepare_store(root, experiment)
    client = connect(root)
    end_orphans(root, experiment=experiment)
    every_tag = {k: str(v) for k, v in {**lineage_tags(root), **(tags or {})}.items()}
    goes_on = run_id is not None
    if run_id is None:
        if name is None:
            name, compared = named(root, experiment_id, flatten(params), every_tag)
            every_tag |= compared
        run_id = _create(root, experiment_id, name, every_tag)
    else:
        client.update_run(run_id, status="RUNNING")
        resume_run(root, run_id).set_tags(every_tag)
    curve = Curve(client, run_id, goes_on=goes_on)
    run = Run(run_id, client, curve)
    status = "KILLED"
    try:
        with sigterm_unwinds():
            if every_tag.get("git.dirty") == "true":
                with TemporaryDirectory() as folder:
                    path = Path(folder) / DIFF
                    path.write_bytes(git_diff(root))
                    run.log_artifact(path)
            run.log_params(flatten(params))
            yield run
            curve.finish()
            client.set_terminated(run_id, "FINISHED")
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        if status != "FINISHED":
            # Where the server is away, the next run ends this one.
            with impatient(), suppress(RegistryError):
                client.set_terminated(run_id, status)


def _create(root: Path, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    """A new run; one, whatever becomes of the server's answers."""
    client, key = connect(root), uuid4().hex

    def create() -> MlflowRun:
        return client.create_run(experiment_id, run_name=name, tags={**tags, REQUEST: key})

    def made() -> MlflowRun | None:
        return next(iter(client.search_runs([experiment_id], f"tags.`{REQUEST}` = '{key}'")), None)

    return str(patiently(root, create, made=made).info.run_id)


def resume_run(root: Path, run_id: str) -> Run:
    """The handle of an ended run, to log more into it; its status stays as it is."""
    client = connect(root)
    return Run(run_id, client, Curve(client, run_id, goes_on=True))


def log_lineage(root: Path, run_id: str) -> None:
    """Log dvc.lock as it is after evaluation: the hashes of the run's code, data and outs.

    Only registered runs have it: DVC writes dvc.lock after the training.
    """
    run = resume_run(root, run_id)
    run.log_artifact(root / "dvc.lock")
    run.set_tags({"dvc.lock.sha256": file_hash(root / "dvc.lock")})


def fetch_artifact(root: Path, run_id: str, path: str) -> Path:
    """A file that a run logged, on this machine; raises RegistryError if it is gone."""
    from mlflow.exceptions import MlflowException

    try:
        found = urlparse(str(connect(root).get_run(run_id).info.artifact_uri))
        if found.scheme in ("", "file"):
            # MLflow would copy it into TMPDIR, and leave it there.
            place = local_place(root, Path(unquote(found.path))) / path
            if not place.exists():
                raise FileNotFoundError(place)
            return place
        # A server's file is copied to one place, where the next copy replaces it.
        copies = root / ".ser" / "artifacts"
        shutil.rmtree(copies, ignore_errors=True)
        copies.mkdir(parents=True)
        with as_default_store(root):
            return Path(connect(root).download_artifacts(run_id, path, str(copies)))
    except (MlflowException, OSError) as error:
        raise RegistryError(
            f"MLflow has no {path} of run {run_id}; train again with `make run`."
        ) from error


def run_exists(root: Path, run_id: str) -> bool:
    """Whether the store has this run and it is not deleted."""
    run = lookup(connect(root).get_run, run_id)
    return run is not None and run.info.lifecycle_stage == "active"


def end_orphans(root: Path, *, experiment: str = EXPERIMENT) -> None:
    """End runs that a SIGKILL left RUNNING on this host."""
    client = connect(root)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return
    running = client.search_runs(
        [found.experiment_id],
        f"attributes.status = 'RUNNING' AND tags.`process.host` = '{socket.gethostname()}'",
    )
    for run in running:
        if not is_alive(int(run.data.tags["process.pid"])):
            client.set_terminated(run.info.run_id, "KILLED")


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
