"""What the challenger and the champion each answered on the challenger's test split."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ser.bundle import CARD_FILE
from ser.core.promotion import KEY, Verdict, judge
from ser.core.tables import check_folds, check_predictions
from ser.errors import SerError
from ser.io import registry, tracking
from ser.io.registry import Version
from ser.io.store import read_json, read_table
from ser.params import Params
from ser.stages.base import FOLDS, PREDICTIONS


def judge_version(
    root: Path, params: Params, version: Version, champion: Version | None
) -> Verdict:
    """The verdict on `version`, whose predictions are those that `evaluate` wrote last."""
    compare = partial(
        judge,
        min_probability=params.gate.min_probability,
        resamples=params.evaluate.bootstrap,
        seed=params.seed,
    )
    new = read_table(root / PREDICTIONS, check_predictions)
    if champion is None:
        return compare(new, None)
    if champion.version == version.version:
        return Verdict(True, "It serves already; only the record of its verdict was lost.")
    old = _stored_predictions(root, champion, split_sha256=version.split_sha256)
    # One recording may have another name since: then the bundle answers again.
    if old is not None and len(new.merge(old[KEY], on=KEY)) == len(new):
        return compare(new, old)
    heard = set(_card(root, champion)["train_speakers"])
    unheard = new[~new["speaker"].isin(heard)]
    if unheard.empty:
        return Verdict(
            False,
            f"Not comparable: the champion, version {champion.version}, was trained on all test "
            f"speakers of this split. If you mean it, run `ser promote {version.version}`.",
        )
    return compare(unheard, _score_again(root, champion, heard))


def _stored_predictions(
    root: Path, champion: Version, *, split_sha256: str | None
) -> pd.DataFrame | None:
    """What `evaluate` logged with the champion's run, if that was on this very split."""
    if champion.split_sha256 != split_sha256:
        return None
    try:
        path = tracking.fetch_artifact(root, champion.run_id, PREDICTIONS.as_posix())
        return read_table(path, check_predictions)
    except SerError:
        # Deleted or damaged: the bundle can answer again.
        return None


def _card(root: Path, version: Version) -> dict[str, Any]:
    card = read_json(registry.fetch_bundle(root, version) / CARD_FILE)["card"]
    return dict(card)


def _score_again(root: Path, champion: Version, heard: set[str]) -> pd.DataFrame:
    """The champion's answers to today's test recordings, by speakers it never heard."""
    from ser.stages.evaluate import score_bundle

    folds = read_table(root / FOLDS, check_folds)
    test = folds[(folds["split"] == "test") & ~folds["speaker"].isin(heard)]
    return score_bundle(registry.fetch_bundle(root, champion), test, root)
