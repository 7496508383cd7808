"""`lineage.json` of registered versions: beside the bundle, among the version's artifacts."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.errors import RegistryError, SerError
from ser.files import read_json, write_json
from ser.io.tracking.bundles import fetch_artifact
from ser.io.tracking.store import as_default_store, connect
from ser.io.tracking.versions import MODEL, Version

NAME = "lineage.json"


def store_record(root: Path, version: Version, record: Mapping[str, Any]) -> None:
    """Write the version's lineage.json; one that is there is replaced."""
    client = connect(root)
    found = client.get_model_version(MODEL, str(version.version))
    if found.model_id is None:
        raise RegistryError(
            f"Version {version.version} is of no logged model, beside which {NAME} could stand: "
            "an older release registered it. Train again: `make run`."
        )
    with tempfile.TemporaryDirectory() as folder, as_default_store(root):
        path = Path(folder) / NAME
        write_json(record, path)
        client.log_model_artifact(found.model_id, str(path), "artifacts")
        client.log_artifact(version.run_id, str(path))


def fetch_record(root: Path, version: Version) -> dict[str, Any]:
    """The version's lineage.json; raises RegistryError where it has none."""
    try:
        with fetch_artifact(root, version, NAME) as path:
            return read_json(path)
    except SerError as error:
        raise RegistryError(
            f"Version {version.version} has no readable {NAME} ({error}) It was registered by an "
            "older release, or its files are gone. `ser versions` lists the others."
        ) from error
