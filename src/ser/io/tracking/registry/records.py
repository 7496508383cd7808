"""`lineage.json` of registered versions: beside the bundle, among the version's artifacts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.errors import DamagedVersion, RegistryError, TableError
from ser.files import read_json, write_json
from ser.io.tracking.health import first_line
from ser.io.tracking.registry import versions
from ser.io.tracking.registry.bundles import fetch_artifact
from ser.io.tracking.registry.journal import locked
from ser.io.tracking.registry.versions import MODEL, Version
from ser.io.tracking.store import as_default_store, connect

NAME = "lineage.json"
#: Of what the file holds.
FORMAT = 1
#: What readers of it rely on.
TYPES = {
    **dict.fromkeys(("bundle_sha256", "split_sha256", "model", "mlflow_run", "reason"), str),
    **dict.fromkeys(("corpora", "features", "files", "flow_run", "git", "libraries"), dict),
    **dict.fromkeys(("machine", "overrides", "protocol", "scores"), dict),
    "seed": int,
}
KINDS = {str: "text", dict: "an object", int: "a number"}


def write_record(root: Path, model_id: str, run_id: str, record: Mapping[str, Any]) -> None:
    """Write the lineage.json of a logged model and of its run; one that is there is replaced."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        write_json(record, path)
        _log(root, model_id, path, run_id=run_id)


def attach(root: Path, version: Version, path: Path) -> None:
    """Put a file beside the version's bundle, as lineage.json is; one of its name is replaced."""
    _log(root, _model_id(root, version), path)


def _model_id(root: Path, version: Version) -> str:
    source = str(connect(root).get_model_version(MODEL, str(version.version)).source)
    return source.removeprefix("models:/")


def _log(root: Path, model_id: str, path: Path, *, run_id: str | None = None) -> None:
    from mlflow.exceptions import MlflowException

    client = connect(root)
    with as_default_store(root):
        try:
            client.log_model_artifact(model_id, str(path), "artifacts")
            if run_id is not None:
                client.log_artifact(run_id, str(path))
        except MlflowException as error:
            raise RegistryError(
                f"{path.name} cannot be stored ({first_line(error)}): the model or its run was "
                "deleted. Restore it, or train again."
            ) from error


def amend_record(root: Path, version: Version, **facts: Any) -> None:
    """Put facts into the version's lineage.json; raises RegistryError where it has none."""
    with locked(root):
        record = {**fetch_record(root, version), **facts}
        write_record(root, _model_id(root, version), version.run_id, record)


def find_record(root: Path, named: str) -> tuple[dict[str, Any], Version | None]:
    """The record of a version or of a lineage.json by its path, which needs no registry.

    The version is None for a file. Raises RegistryError where neither is there, or the file is
    none of this release's.
    """
    is_file = named.endswith(".json") or (named and Path(named).exists())
    version = None if is_file else versions.named(root, named)
    if version is not None:
        record = fetch_record(root, version)
    else:
        try:
            record = read_json(Path(named))
        except (TableError, OSError) as error:
            raise RegistryError(
                f"{named} cannot be read as a {NAME}; expected the file that stands beside a "
                "version's bundle. `ser lineage VERSION --json` writes one."
            ) from error
    if record.get("format") != FORMAT:
        raise RegistryError(
            f"{named} has format {record.get('format')!r}, and this release reads {FORMAT}. Use "
            "the release that wrote it."
        )
    wrong = [key for key, kind in TYPES.items() if not isinstance(record.get(key), kind)]
    if wrong:
        raise RegistryError(
            f"{named}: {wrong[0]} is {json.dumps(record.get(wrong[0]))[:60]}; expected "
            f"{KINDS[TYPES[wrong[0]]]}, as the release wrote it. Take the version's own {NAME}."
        )
    return record, version


def fetch_record(root: Path, version: Version) -> dict[str, Any]:
    """The version's lineage.json, with its verdict of now. RegistryError where it has none."""
    try:
        with fetch_artifact(root, version, NAME) as path:
            record = read_json(path)
    except (DamagedVersion, TableError) as error:
        raise RegistryError(
            f"Version {version.version} has no {NAME} that can be read: an older release "
            "registered it, or its files were changed. `ser versions` lists the others."
        ) from error
    verdict = record.get("verdict")
    if version.verdict:
        now = {"promote": version.verdict == "promoted", "reason": version.verdict_reason}
        # People promote past the gate.
        verdict = {**(verdict or {}), **now}
    return {**record, "version": version.version, "verdict": verdict}
