"""What is known of a run: from the files of a project, or from what MLflow keeps of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ser.core.scores import metrics
from ser.core.scores.analysis import analysis
from ser.core.utterance.tables import check_folds, check_predictions
from ser.errors import RegistryError, SerError
from ser.files import read_json
from ser.io.storage.tables import read_table
from ser.io.tracking import runs
from ser.io.tracking.pages.descriptions import facts
from ser.io.tracking.pages.history import compared_with, load_run
from ser.io.tracking.pages.history import find_run as find_logged
from ser.io.tracking.pages.names import Logged, changes, comparable_uar, plain
from ser.io.tracking.registry import records, versions
from ser.io.tracking.registry.versions import Version
from ser.project import (
    FIGURES,
    FOLDS,
    METRICS,
    PLOTS,
    PREDICTIONS,
    SLICES,
    STRESS,
    TRAIN_RECEIPT,
)
from ser.report.players import players
from ser.reporting.lineage import rows
from ser.reporting.model_report import Other, Report

#: A file by its place in a project; None where the run does not have it.
Files = Callable[[Path], Path | None]
CURVES, PANELS = PLOTS / "curves.csv", FIGURES / "emotions.png"
VERDICTS = {"promoted": "promoted", "kept": "kept out"}


def of_project(root: Path) -> Report:
    """The report of the model that the project's files are of, with its verdict where it has one.

    Raises TableError where `evaluate` has not run.
    """
    receipt = read_json(root / TRAIN_RECEIPT)

    def find(place: Path) -> Path | None:
        return root / place if (root / place).is_file() else None

    version = versions.find_version(root, receipt["bundle_sha256"])
    return _report(root, find, receipt["run_id"], version, bundle=receipt["bundle_sha256"])


def of_run(root: Path, run_id: str, version: Version | None = None) -> Report:
    """The report of a run that MLflow has, with what the run logged; players by data/raw.

    Raises RegistryError where the run was not evaluated, or its files are gone.
    """

    def find(place: Path) -> Path | None:
        # A folder is logged by its name, in a folder of the run.
        folder = f"figures/{FIGURES.name}" if place.parent == FIGURES else "reports"
        try:
            return runs.fetch_artifact(root, run_id, f"{folder}/{place.name}")
        except RegistryError:
            return None

    if find(METRICS) is None:
        raise RegistryError(
            f"MLflow has no reports/metrics.json of run {run_id}: it was not evaluated, or its "
            "files were deleted. `ser versions` lists those that were."
        )
    bundle = version.bundle_sha256 if version else ""
    return _report(root, find, run_id, version, bundle=bundle)


def find_run(root: Path, named: str) -> tuple[str, Version | None]:
    """The run that a person names: a version (3, champion, …), a run's id, or a run's name.

    With the version, where it is one. Raises RegistryError.
    """
    try:
        version = versions.named(root, named)
        return version.run_id, version
    except RegistryError as error:
        run_id = find_logged(root, named)
        if run_id is None:
            raise RegistryError(
                f"{error} Nor does MLflow have a run of that id or name."
            ) from error
        return run_id, None


def _report(
    root: Path, find: Files, run_id: str, version: Version | None, *, bundle: str
) -> Report:
    scores = read_json(find(METRICS) or root / METRICS)
    run = load_run(root, run_id)
    found = _analysis(find)
    # A store's file may be a copy that the next one replaces: each is read before the next.
    predictions = find(PREDICTIONS)
    counts = metrics.confusion(read_table(predictions, check_predictions)) if predictions else None
    curves = find(CURVES)
    return Report(
        name=run.name if run else f"{scores['model']}, run {run_id}",
        scores={split: scores[split] for split in ("test", "dev")},
        protocol=scores["protocol"],
        analysis=found,
        confusion=counts,
        curves=pd.read_csv(curves) if curves else None,
        stress=read_json(stress) if (stress := find(STRESS)) else None,
        others=_others(root, run) if run else (),
        players=players(root, found.get("mistakes", ())),
        lineage=tuple(_lineage(root, run, version, bundle).items()),
        verdict=_verdict(version),
        panels=panels.read_bytes() if (panels := find(PANELS)) else None,
    )


def _analysis(find: Files) -> Mapping[str, Any]:
    """reports/slices.json; of a run of an older release, what its predictions say."""
    stored = find(SLICES)
    if stored:
        return read_json(stored)
    predictions = find(PREDICTIONS)
    if predictions is None:
        return {}
    test = read_table(predictions, check_predictions)
    folds = find(FOLDS)
    if folds is None:
        return {}
    return analysis(
        {"test": test}, read_table(folds, check_folds), resamples=2000, seed=7, errors=6
    )


def _others(root: Path, run: Logged) -> list[Other]:
    """The champion when the run started, and the run before."""
    return [
        Other(role, other.name, plain(changes(other, run)), comparable_uar(other, run))
        for role, other in compared_with(root, run).items()
    ]


def _lineage(
    root: Path, run: Logged | None, version: Version | None, bundle: str
) -> dict[str, str]:
    """The version's record, where it is registered; below, what only the run has."""
    known = {"MLflow run": run.run_id, **facts(run)} if run else {}
    if run:
        known["Seed"] = run.params.get("seed", "")
        known["Inputs"] = run.tags.get("inputs.sha256", "")[:12]
    known["Bundle"] = bundle[:12]
    if version:
        try:
            recorded = dict(rows(records.fetch_record(root, version)))
        except SerError:
            # An older release registered it, or its files are gone.
            recorded = {"Version": str(version.version)}
        # The page has the scores above, and the verdict.
        left_out = ("Test", "Protocol", "Verdict")
        known = {**{k: v for k, v in recorded.items() if k not in left_out}, **known}
        # The record says the same of these in more words.
        for shorter, longer in {"git": "Code", "Tested on": "Recorded"}.items():
            if longer in recorded:
                known.pop(shorter, None)
    return {title: text for title, text in known.items() if text}


def _verdict(version: Version | None) -> tuple[str, str] | None:
    if version is None or version.verdict is None:
        return None
    said = VERDICTS.get(version.verdict, version.verdict)
    return f"Version {version.version}: {said}", version.verdict_reason or ""
