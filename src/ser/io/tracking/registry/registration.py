"""A trained bundle becomes a version of the registered model, and the challenger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.bundle import bundle_sha256 as hash_bundle
from ser.errors import RegistryError
from ser.io.tracking.pages.descriptions import MODEL_DESCRIPTION
from ser.io.tracking.patience import patiently
from ser.io.tracking.registry.journal import locked
from ser.io.tracking.registry.packaging import log_model, versions_of
from ser.io.tracking.registry.records import write_record
from ser.io.tracking.registry.versions import CHALLENGER, MODEL, Version, get_version
from ser.io.tracking.store import as_default_store, connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


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
        model_id = log_model(
            root, bundle_dir, run_id=run_id, name=MODEL, bundle_sha256=bundle_sha256
        )
        if record is not None:
            write_record(root, model_id, run_id, record)
        _create_model(root, client)
        created = _create_version(root, client, model_id, run_id, every_tag)
        return make_challenger(root, int(created.version))


def make_challenger(root: Path, version: int) -> Version:
    """Give a version the alias of the challenger."""
    connect(root).set_registered_model_alias(MODEL, CHALLENGER, str(version))
    return get_version(root, version)


def _create_version(
    root: Path, client: MlflowClient, model_id: str, run_id: str, tags: dict[str, str]
) -> ModelVersion:
    source = f"models:/{model_id}"

    def create() -> ModelVersion:
        return client.create_model_version(MODEL, source, run_id, tags=tags, model_id=model_id)

    def made() -> ModelVersion | None:
        return versions_of(client, MODEL, run_id).get(model_id)

    return patiently(root, create, made=made)


def _create_model(root: Path, client: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    def create() -> None:
        client.create_registered_model(MODEL, description=MODEL_DESCRIPTION)

    try:
        patiently(root, create)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
