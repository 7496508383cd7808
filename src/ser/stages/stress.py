"""Stage `stress`: how the bundle bears changed recordings, on a small sample of the test split."""

from __future__ import annotations

from pathlib import Path

from ser import project
from ser.bundle import load_bundle, load_encoder_of
from ser.core.utterance.tables import check_folds
from ser.files import atomic_path, write_json
from ser.io.storage.tables import read_table, write_table
from ser.params import Params
from ser.predictor import Predictor
from ser.reporting.robustness import stress_figure
from ser.stages.base import run_stage
from ser.stages.learning import tracked_run
from ser.stress.files import few_metrics, metric_names, rows_table
from ser.stress.printed import headline
from ser.stress.table import stress


def run(root: Path, params: Params) -> None:
    tracked = tracked_run(root)
    folds = read_table(root / project.FOLDS, check_folds)
    bundle = load_bundle(root / project.BUNDLE)
    found = stress(
        Predictor(bundle, load_encoder_of(bundle)),
        root,
        folds[folds["split"] == "test"],
        params.stress,
        seed=params.seed,
        limit=params.stress.utterances,
    )
    write_json(found.to_dict(), root / project.STRESS)
    write_json(few_metrics(found), root / project.STRESS_METRICS)
    write_table(rows_table(found), root / project.PLOTS / "stress.csv")
    with atomic_path(root / project.STRESS_FIGURE) as temporary:
        figure = stress_figure(found, title=headline(found))
        figure.savefig(temporary, format="png", dpi=110)
    tracked.log_metrics(metric_names(found))
    tracked.log_artifact(root / project.STRESS, "reports")
    tracked.log_artifact(root / project.STRESS_FIGURE, "figures")
    print(headline(found))
    worst = min(found.rows, key=lambda row: row.unchanged)
    print(
        f"Worst: {worst.family} {worst.name}, UAR {worst.uar:.3f}, {worst.answered:.0%} answered, "
        f"{worst.unchanged:.0%} unchanged. All rows: {project.STRESS}."
    )


if __name__ == "__main__":
    run_stage(run)
