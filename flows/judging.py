"""What the challenger and the champion each answered on the challenger's test split."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ser.core.promotion import Verdict, judge
from ser.core.tables import check_folds, check_predictions, speaker_ids
from ser.errors import SerError
from ser.io import registry, tracking
from ser.io.registry import Version
from ser.io.store import read_json, read_table
from ser.params import Params

PREDICTIONS = Path("reports/predictions.parquet")
FOLDS = Path("data/interim/folds.parquet")


def judge_version(
    root: Path, params: Params, version: Version, champion: Version | None
) -> Verdict:
    """The verdict on `version`, whose predictions are those that `evaluate` wrote last."""
    options = {
        "min_probability": params.gate.min_probability,
        "resamples": params.evaluate.bootstrap,
        "seed": params.seed,
    }
    new = read_table(root / PREDICTIONS, check_predictions)
    if champion is not None and champion.version == version.version:
        return Verdict(True, "It serves already; only the record of its verdict was lost.")
    if champion is None:
        return judge(new, None, **options)
    if champion.split_sha256 == version.split_sha256:
        old = _stored_predictions(root, champion)
        if old is not None:
            return judge(new, old, **options)
    return _judge_rescored(root, new, champion, options)


def _stored_predictions(root: Path, version: Version) -> pd.DataFrame | None:
    """What `evaluate` logged with the version's run; None if it is gone."""
    try:
        path = tracking.fetch_artifact(root, version.run_id, PREDICTIONS.as_posix())
        return read_table(path, check_predictions)
    except SerError:
        return None


def _judge_rescored(
    root: Path, new: pd.DataFrame, champion: Version, options: dict[str, float]
) -> Verdict:
    """Let the champion answer today's test split, as far as it never heard the speakers."""
    # Scoring loads torch, which the other ways here do without.
    from ser.stages.evaluate import score_bundle

    bundle_dir = registry.fetch_bundle(root, champion)
    heard = set(read_json(bundle_dir / "bundle.json")["card"]["train_speakers"])
    unheard = new[~speaker_ids(new).isin(heard)]
    if unheard.empty:
        return Verdict(
            False,
            f"Not comparable: the champion, version {champion.version}, was trained on all test "
            "speakers of this split. To serve the new model all the same, run `ser promote`.",
        )
    folds = read_table(root / FOLDS, check_folds)
    test = folds[(folds["split"] == "test") & ~speaker_ids(folds).isin(heard)]
    old = score_bundle(bundle_dir, test, root)
    return judge(unheard, old, **options)  # type: ignore[arg-type]
