"""Stage `report`: slices of the test, model card and page of the run."""

from __future__ import annotations

from pathlib import Path

from ser import project
from ser.bundle import load_bundle
from ser.core.scores.analysis import analysis
from ser.core.utterance.tables import check_folds, check_predictions
from ser.files import write_json, write_text
from ser.io.storage.tables import read_table
from ser.params import Params
from ser.report.write import card_text, log_report
from ser.stages.base import run_stage
from ser.stages.learning import tracked_run, with_sets


def run(root: Path, params: Params) -> None:
    run = tracked_run(root)
    bundle = load_bundle(root / project.BUNDLE)
    splits = {"test": project.PREDICTIONS, "dev": project.DEV_PREDICTIONS}
    tables = {
        split: with_sets(read_table(root / path, check_predictions), bundle)
        for split, path in splits.items()
    }
    found = analysis(
        tables,
        read_table(root / project.FOLDS, check_folds),
        resamples=params.evaluate.bootstrap,
        seed=params.seed,
        errors=params.report.errors,
    )
    write_json(found, root / project.SLICES)
    write_text(card_text(root, bundle), root / project.CARD)
    log_report(root, run)
    print(f"{project.REPORT}: the run in one page; {project.CARD}.")


if __name__ == "__main__":
    run_stage(run)
