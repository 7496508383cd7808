"""Writes descriptions into MLflow. One that a person wrote, changed or emptied stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ser.io.tracking.health import lookup
from ser.io.tracking.pages.descriptions import run_description, version_description
from ser.io.tracking.pages.experiments import NOTE, note_tags, one_by_one
from ser.io.tracking.pages.history import load_run
from ser.io.tracking.pages.links import run_url
from ser.io.tracking.registry.versions import MODEL, Version
from ser.io.tracking.runs import run_exists
from ser.io.tracking.store import connect


def describe_run(root: Path, run_id: str) -> None:
    """Describe a run by what it has logged; nothing where the store has lost it."""
    run = load_run(root, run_id)
    if run is None or not run_exists(root, run_id):
        return
    _set_tags(root, run_id, note_tags(run_description(run), run.tags))


def describe_version(root: Path, version: Version) -> None:
    """Describe a version by what its run has logged, and by its verdict where it has one."""
    run = load_run(root, version.run_id)
    if run is None:
        return
    client, number = connect(root), str(version.version)
    # The page of a version lies beside that of the run: a relative address fits every server.
    text = version_description(
        run,
        run_url=run_url("", run.experiment_id, run.run_id).lstrip("/"),
        verdict=version.verdict,
        reason=version.verdict_reason,
    )
    found = lookup(client.get_model_version, MODEL, number)
    written = {NOTE: found.description} if found and found.description else {}
    tags = {**(found.tags if found else {}), **written}
    for name, value in one_by_one(note_tags(text, tags), tags):
        if name == NOTE:
            client.update_model_version(MODEL, number, value)
        else:
            client.set_model_version_tag(MODEL, number, name, value)


def describe_verdict(root: Path, version: Version) -> None:
    """Tell what became of a model: on its version's page, and on that of its run."""
    describe_version(root, version)
    if version.verdict:
        set_verdict(
            root,
            version.run_id,
            version=version.version,
            verdict=version.verdict,
            reason=version.verdict_reason or "",
        )


def set_verdict(root: Path, run_id: str, *, version: int, verdict: str, reason: str) -> None:
    """Tag a run with what became of its model, and describe it anew."""
    if not run_exists(root, run_id):
        return
    tags = {"version": str(version), "verdict": verdict, "verdict_reason": reason}
    _set_tags(root, run_id, tags)
    describe_run(root, run_id)


def _set_tags(root: Path, run_id: str, tags: Mapping[str, str]) -> None:
    """All of them or, after a kill, none."""
    from mlflow.entities import RunTag

    connect(root).log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
