"""Page and model card of the model that a project's files are of, and where they go."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ser.bundle import Bundle, load_bundle
from ser.corpora.catalogue import corpus_named
from ser.files import read_json, write_text
from ser.io.tracking import runs
from ser.io.tracking.registry import records
from ser.io.tracking.registry.versions import Version
from ser.project import BUNDLE, CARD, METRICS, PLOTS, RAW, REPORT, SLICES, STRESS, TRAIN_RECEIPT
from ser.report.gather import VERDICTS, of_project
from ser.reporting.card import Made, card_markdown
from ser.reporting.model_report import Report, report_html


def write_page(report: Report, path: Path) -> None:
    """The page, whole or not at all."""
    write_text(report_html(report), path)


def card_text(root: Path, bundle: Bundle, version: Version | None = None) -> str:
    """The card of the project's model, and of the version that it became.

    Without a version it depends on the project's files alone, so a stage may have it as an out.
    """
    receipt, metrics = read_json(root / TRAIN_RECEIPT), read_json(root / METRICS)
    made = Made(
        model=bundle.model_name,
        classes=bundle.classes,
        corpora=[corpus_named(name, root / RAW) for name in metrics["protocol"]["corpora"]],
        card=bundle.card,
        parameters=bundle.model.n_parameters,
        seconds=receipt.get("seconds"),
        processor=receipt.get("processor", ""),
        run_id=receipt["run_id"],
        bundle_sha256=receipt["bundle_sha256"],
        version=version.version if version else None,
        verdict=(
            f"{VERDICTS.get(version.verdict, version.verdict)}. {version.verdict_reason or ''}"
            if version and version.verdict
            else ""
        ),
    )
    stress = read_json(root / STRESS) if (root / STRESS).is_file() else None
    return card_markdown(made, metrics, metrics["protocol"], read_json(root / SLICES), stress)


def log_report(root: Path, run: runs.Run) -> None:
    """Write the project's page, and log it with card and tables to the run."""
    write_page(of_project(root), root / REPORT)
    for path in (REPORT, CARD):
        run.log_artifact(root / path)
    for path in (SLICES, STRESS, PLOTS / "curves.csv"):
        if (root / path).is_file():
            run.log_artifact(root / path, "reports")


def publish(root: Path, version: Version) -> None:
    """Log the page anew, which has the verdict now, and put the card beside the version's bundle.

    The card of the run is that of the version, too. root : where the version's stages ran.
    """
    run = runs.resume_run(root, version.run_id)
    write_page(of_project(root), root / REPORT)
    run.log_artifact(root / REPORT)
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / CARD.name
        card.write_text(card_text(root, load_bundle(root / BUNDLE), version), encoding="utf-8")
        run.log_artifact(card)
        records.attach(root, version, card)
