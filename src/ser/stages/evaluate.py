"""Stage `evaluate`: scores of the bundle on the test split, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ser import project
from ser.bundle import Bundle, load_bundle
from ser.core.corpus.choice import one_of_each
from ser.core.scores import metrics
from ser.core.utterance.tables import check_folds, check_predictions, split_sha256
from ser.files import atomic_path, read_json, write_json
from ser.io.storage.tables import read_table, write_table
from ser.io.tracking.pages.describe import describe_run
from ser.io.tracking.pages.metrics import interval, named_scores
from ser.output import count_of
from ser.params import Params
from ser.reporting.plots import confusion_matrix, learning_curves, recall_bars
from ser.stages.base import run_stage
from ser.stages.explore import draw_panels
from ser.stages.learning import answers, tracked_run, with_sets


def run(root: Path, params: Params) -> None:
    folds = read_table(root / project.FOLDS, check_folds)
    bundle = load_bundle(root / project.BUNDLE)
    # The bundle was trained on dev, too, after the predictions for dev were made.
    tables = {
        "dev": read_table(root / project.DEV_PREDICTIONS, check_predictions),
        "test": answers(root, bundle, folds[folds["split"] == "test"]),
    }
    options = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    scores = {
        split: {**metrics.scores(table, **options), **set_scores(bundle, table)}
        for split, table in tables.items()
    }
    protocol = {
        "corpora": list(params.data.corpora),
        "name": params.split.protocol,
        "fold": params.split.fold,
        "labels": list(bundle.classes),
        "split_sha256": split_sha256(folds),
        "normalisation": "speaker-enrolled" if bundle.takes_enrolment else "plain",
        "audit": read_json(root / project.AUDIT),
    }
    test = tables["test"]
    check_predictions(test)
    write_table(test, root / project.PREDICTIONS)
    write_json({**scores, "protocol": protocol, "model": bundle.model_name}, root / project.METRICS)
    write_json(_headline(scores), root / project.HEADLINE)
    write_table(test[["emotion", "predicted"]], root / project.PLOTS / "confusion.csv")
    per_class = pd.DataFrame.from_dict(scores["test"]["per_class"], orient="index")
    per_class = per_class.rename_axis("emotion").reset_index()
    write_table(per_class, root / project.PLOTS / "per_class.csv")
    _draw(root, bundle, folds, test, scores["test"], protocol)
    _track(root, scores)
    print(headline(scores["test"], protocol))


def _headline(scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What `dvc metrics diff` and `dvc exp show` compare, by the names that MLflow has, too."""
    test = scores["test"]
    others = {name: test[name] for name in ("accuracy", "f1_macro", "ece", "chance")}
    return {
        "test": {"uar": test["uar"], **interval(test), **others},
        "dev": {"uar": scores["dev"]["uar"]},
    }


def headline(scores: dict[str, Any], protocol: dict[str, Any]) -> str:
    """One line: protocol, UAR with interval, the emotions it is over, chance."""
    interval = metrics.interval_text(scores["uar_ci95"]) or "(too few speakers for an interval)"
    return (
        f"{'+'.join(protocol['corpora'])}, {protocol['name']} fold {protocol['fold']}, "
        f"{count_of(scores['speakers'], 'unseen speaker')}: UAR {scores['uar']:.3f} {interval} "
        f"over {metrics.emotions_text(scores)}, chance {scores['chance']:.3f}, "
        f"split {protocol['split_sha256'][:12]}."
    )


def set_scores(bundle: Bundle, predictions: pd.DataFrame) -> dict[str, float]:
    """How often prediction sets hold the true emotion, how often they should, and their size."""
    table = with_sets(predictions, bundle)
    return {
        "coverage": float(table["covered"].mean()),
        "coverage_asked": bundle.calibrations.coverage or 0.0,
        "set_size": float(table["candidates"].mean()),
    }


def _draw(
    root: Path,
    bundle: Bundle,
    folds: pd.DataFrame,
    test: pd.DataFrame,
    scores: dict[str, Any],
    protocol: dict[str, Any],
) -> None:
    title = headline(scores, protocol).rstrip(".").replace(": ", ":\n")
    recalls = {emotion: values["recall"] for emotion, values in scores["per_class"].items()}
    rows, shown = one_of_each(folds[folds["split"] == "test"])
    figures = {
        "confusion": confusion_matrix(metrics.confusion(test), title=title),
        "recall": recall_bars(recalls, chance=scores["chance"], title=title),
        "emotions": draw_panels(
            root, rows, list(rows.index), features=bundle.features, title=shown
        ),
    }
    curves = pd.read_csv(root / project.PLOTS / "curves.csv")
    if curves["train_loss"].notna().any():
        figures["curves"] = learning_curves(curves)
    with atomic_path(root / project.FIGURES) as folder:
        folder.mkdir()
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=110)


def _track(root: Path, scores: dict[str, dict[str, Any]]) -> None:
    tracked = tracked_run(root)
    for split, of_split in reversed(scores.items()):
        tracked.log_metrics(named_scores(split, of_split))
        missing = ", ".join(of_split["emotions_missing"]) or "none"
        tracked.set_tags({f"{split}.emotions_missing": missing})
    tracked.log_artifact(root / project.FIGURES, "figures")
    for path in (project.METRICS, project.PREDICTIONS, project.FOLDS, project.AUDIT):
        tracked.log_artifact(root / path, "reports")
    describe_run(root, tracked.run_id)


if __name__ == "__main__":
    run_stage(run)
