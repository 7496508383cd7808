"""What must be true after a kill, and what after the next run."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kills.place import Place, api
from flows.processes import note, prefect_api
from flows.processes.server import API_URL
from ser.errors import RegistryError
from ser.io.tracking import store
from ser.io.tracking.address import WORKTREES
from ser.io.tracking.registry import bundles, journal, mending, promotion, versions
from ser.io.tracking.registry.change import history
from ser.io.tracking.registry.versions import MODEL, Version
from ser.project import METRICS, TRAIN_RECEIPT

#: Largest difference of a resumed training's scores.
TOLERANCE = 1e-6
#: Folders whose names are others each time, or of which only some entries are looked at.
APART = (".git", ".dvc/cache", ".dvc/tmp", ".prefect", ".ser/logs", "mlruns/artifacts")


@dataclass(frozen=True)
class Expected:
    """What an uninterrupted run leaves: scores, bundle's hash, the names of all files, and what
    MLflow has of run and version."""

    scores: Mapping[str, Any]
    bundle_sha256: str
    names: frozenset[str]
    recorded: frozenset[str]


def expected(place: Place) -> Expected:
    receipt = json.loads((place.root / TRAIN_RECEIPT).read_text())
    scores = {"dev": receipt["dev"], **json.loads((place.root / METRICS).read_text())}
    names, recorded = frozenset(_names(place.root)), frozenset(_recorded(place.root))
    return Expected(scores, receipt["bundle_sha256"], names, recorded)


def after_kill(place: Place, before: Version) -> tuple[str, list[str]]:
    """Who serves now, "old" or "new", and what is wrong."""
    try:
        journal.rows(place.root)
        now = versions.champion(place.root)
        if now is None:
            return "none", ["no champion"]
        wrong = bundles.defect(place.root, now)
    except RegistryError as error:
        return "unreadable", [f"registry: {error}"]
    faults = [f"champion: {wrong}"] if wrong else []
    if now.version == before.version:
        return "old", faults
    promoted = [r for r in journal.rows(place.root) if r["event"] == "promoted"]
    if not promoted or promoted[-1]["version"] != now.version:
        faults.append(f"version {now.version} serves, and no row of the journal says so")
    return "new", faults


def after_next(place: Place, before: Version, wanted: Expected | None) -> Iterator[str]:
    """What is wrong after a run that nobody interrupted.

    wanted : None where no uninterrupted run had these parameters.
    """
    yield from _registry(place.root, before)
    yield from _runs(place)
    if (place.root / WORKTREES).exists():
        left = [path.name for path in (place.root / WORKTREES).iterdir()]
        yield from (f"{WORKTREES}/{name}" for name in left if not name.endswith(".lock"))
    if wanted is None:
        return
    now = expected(place)
    yield from (f"debris: {name}" for name in sorted(now.names - wanted.names)[:5])
    yield from (f"missing: {name}" for name in sorted(wanted.names - now.names)[:5])
    yield from (f"not recorded: {what}" for what in sorted(wanted.recorded - now.recorded))
    yield from differences(wanted.scores, now.scores)
    if now.bundle_sha256 != wanted.bundle_sha256:
        yield "the bundle is not that of an uninterrupted training"


def _registry(root: Path, before: Version) -> Iterator[str]:
    receipt = json.loads((root / TRAIN_RECEIPT).read_text())
    champion, rows = versions.champion(root), history(root)
    if champion is None:
        yield "no champion"
        return
    newest = versions.all_versions(root)[0]
    if newest.version == before.version or newest.bundle_sha256 != receipt["bundle_sha256"]:
        yield f"version {newest.version} is the newest, and not of the model that was trained"
    if newest.verdict is None or not promotion.is_concluded(newest):
        yield f"version {newest.version} has no verdict, or not what follows one"
    # A model that answers as well as the champion is kept out.
    serves = newest if newest.verdict == "promoted" else before
    if champion.version != serves.version:
        yield f"version {champion.version} serves; expected {serves.version}"
    if wrong := bundles.defect(root, champion):
        yield f"champion: {wrong}"
    if found := mending.disagreement(root):
        yield f"journal and registry disagree: {found}"
    promotions = [r["version"] for r in rows if r["event"] == "promoted"]
    withdrawn = [r["version"] for r in rows if r["event"] == "withdrawn"]
    for version in {*promotions}:
        if promotions.count(version) - withdrawn.count(version) != 1:
            yield f"version {version} was promoted {promotions.count(version)} times"
    client = store.connect(root)
    ids = [e.experiment_id for e in client.search_experiments()]
    for run in client.search_runs(ids, "attributes.status = 'RUNNING'"):
        yield f"MLflow run {run.info.run_name} is RUNNING"
    held = {v.source.rpartition("/")[2] for v in client.search_model_versions(f"name='{MODEL}'")}
    orphans = [m for m in client.search_logged_models(ids) if m.model_id not in held]
    if orphans:
        yield f"{len(orphans)} logged models of no version, {orphans[0].status}"


def _runs(place: Place) -> Iterator[str]:
    """Prefect's flow runs that seem to go on, by its server or, where none runs, its database."""
    seeming = ("RUNNING", "PENDING", "CANCELLING")
    if os.environ.get(API_URL) or note.running(place.root):
        asked = {"flow_runs": {"state": {"type": {"any_": list(seeming)}}}}
        found = prefect_api.post(api(place), "flow_runs/filter", asked)
        rows = [(run["name"], run["state_type"]) for run in found]
    else:
        with closing(sqlite3.connect(place.root / ".prefect" / "prefect.db")) as database:
            marks = ", ".join("?" * len(seeming))
            query = f"SELECT name, state_type FROM flow_run WHERE state_type IN ({marks})"
            rows = database.execute(query, seeming).fetchall()
    for name, state in rows:
        yield f"flow run {name} is {state}"


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two nested values differ by more than the tolerance."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted({*wanted, *found}):
            yield from differences(wanted.get(key), found.get(key), f"{path}.{key}")
    elif isinstance(wanted, float) and isinstance(found, int | float):
        if not math.isclose(wanted, found, rel_tol=0.0, abs_tol=TOLERANCE):
            yield f"scores{path}: {found}, and not {wanted}"
    elif wanted != found:
        yield f"scores{path}: {found!r}, and not {wanted!r}"


def _recorded(root: Path) -> Iterator[str]:
    """What MLflow has of the newest version and its run, by name."""
    client, newest = store.connect(root), versions.all_versions(root)[0]
    version, run = (
        client.get_model_version(MODEL, str(newest.version)),
        client.get_run(newest.run_id),
    )
    if version.description:
        yield "version: description"
    yield from (f"version: alias {alias}" for alias in version.aliases)
    yield from (f"version: tag {name}" for name in version.tags)
    yield f"run: {run.info.status}"
    yield from (f"run: tag {name}" for name in run.data.tags)
    yield from (f"run: metric {name}" for name in run.data.metrics)
    folders = [""]
    while folders:
        for found in client.list_artifacts(run.info.run_id, folders.pop() or None):
            yield f"run: artifact {found.path}"
            if found.is_dir:
                folders.append(found.path)


def clear(folder: Path) -> int:
    """Empty a folder; how many entries it had."""
    entries = list(folder.iterdir())
    for path in entries:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(entries)


def _names(root: Path) -> Iterator[str]:
    for folder, _, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        if inside.as_posix().startswith(APART) or inside.name == "__pycache__":
            continue
        yield from ((inside / name).as_posix() for name in files)
