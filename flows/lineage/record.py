"""`lineage.json`: all that a version was made of, and enough to make it again elsewhere.

It stands beside the bundle among the version's artifacts, never inside the bundle, whose hash is
its identity. With it, the Git repository and the data of DVC, `ser reproduce` needs no registry.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.lineage.machine import libraries, machine
from flows.request import Request
from ser.files import file_hash, read_json
from ser.io.intake import dvc
from ser.io.tracking.lineage import (
    FLOW_RUN,
    FLOW_RUN_NAME,
    FLOW_RUN_URL,
    git_diff,
    git_revision,
)
from ser.io.tracking.registry.records import FORMAT
from ser.params import Params
from ser.project import AUGMENTED, BUNDLE, EMBEDDINGS, FEATURES, MANIFEST, METRICS, RAW
from ser.stages.learning import chosen_params

#: Tag of a version -> where the record has it. The record has all, the tags what people look for.
TAGS = {
    "git.commit": ("git", "commit"),
    "git.dirty": ("git", "dirty"),
    "git.diff.sha256": ("git", "diff_sha256"),
    "dvc.lock.sha256": ("dvc_lock_sha256",),
    "manifest": ("manifest",),
    "seed": ("seed",),
    "overrides": ("overrides",),
    "reason": ("reason",),
    "libraries": ("libraries",),
    "machine": ("machine",),
    "flow_run": ("flow_run", "id"),
    "flow_run.url": ("flow_run", "url"),
}


def build(
    tree: Path, params: Params, receipt: Mapping[str, Any], request: Request
) -> dict[str, Any]:
    """The record of the model that `tree` holds; its version and verdict are not known yet.

    Call it where no stage is stale: then Git's state is what dvc.lock was made with.
    """
    hashes = dvc.locked_outs(tree)
    corpora = {name: dvc.tracked_md5(tree, RAW / name) for name in params.data.corpora}
    stored = [FEATURES, AUGMENTED, EMBEDDINGS]
    metrics = read_json(tree / METRICS)
    return {
        "format": FORMAT,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": receipt["model"],
        "bundle_sha256": receipt["bundle_sha256"],
        "split_sha256": receipt["split_sha256"],
        "seed": params.seed,
        "overrides": dict(request.values),
        "reason": request.reason,
        "git": _git(tree),
        "dvc_lock_sha256": file_hash(tree / "dvc.lock"),
        "corpora": corpora,
        "features": {path.as_posix(): hashes.get(path.as_posix()) for path in stored},
        "manifest": hashes.get(MANIFEST.as_posix()),
        "bundle": hashes.get(BUNDLE.as_posix()),
        "parameters": chosen_params(params),
        "libraries": libraries(),
        "machine": machine(),
        "flow_run": {
            "id": os.environ.get(FLOW_RUN),
            "name": os.environ.get(FLOW_RUN_NAME),
            "url": os.environ.get(FLOW_RUN_URL),
        },
        "mlflow_run": receipt["run_id"],
        "scores": {split: _scores(metrics[split]) for split in ("dev", "test")},
        "protocol": metrics["protocol"],
        # Test UAR of several seeds on this split; `ser reproduce` measures it.
        "spread": None,
        "version": None,
        "verdict": None,
        "files": _files(tree, params),
    }


def tags(record: Mapping[str, Any]) -> dict[str, str]:
    """What of the record a version carries as tags."""
    found: dict[str, str] = {}
    for tag, path in TAGS.items():
        value: Any = record
        for key in path:
            value = (value or {}).get(key)
        if value or value == 0:
            found[tag] = value if isinstance(value, str) else json.dumps(value)
    each = {**record["corpora"], **record["features"]}
    return found | {f"dvc.{name}": md5 for name, md5 in each.items() if md5}


def _git(tree: Path) -> dict[str, Any]:
    revision = git_revision(tree)
    if not revision:
        return {}
    diff = git_diff(tree)
    return {
        "commit": revision["mlflow.source.git.commit"],
        "dirty": bool(diff),
        "diff_sha256": hashlib.sha256(diff).hexdigest() if diff else None,
        # Bytes that are no UTF-8 come back by `os.fsencode`.
        "diff": os.fsdecode(diff),
    }


def _scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in scores.items() if isinstance(value, float | int | list)}


def _files(tree: Path, params: Params) -> dict[str, str]:
    """Texts that a reproduction starts from."""
    paths = [Path(dvc.PARAMS), Path("dvc.lock")]
    paths += [dvc.tracker_of(Path(), RAW / name) for name in params.data.corpora]
    if isinstance(params.data.exclude, str):
        paths.append(Path(params.data.exclude))
    return {
        path.as_posix(): (tree / path).read_text(encoding="utf-8")
        for path in paths
        if not path.is_absolute() and (tree / path).is_file()
    }
