"""Folds become one result: scores over all test speakers, each once, ready for JSON."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from ser.benchmark.folds import Fold
from ser.core.scores import metrics
from ser.params import Params


def summarise(folds: list[Fold], params: Params, *, command: str) -> dict[str, Any]:
    """All scores of a benchmark.

    `uar` is over all folds' predictions together, its interval over all speakers; `seconds` is
    what the folds took, training, testing and timing; `split_sha256` names all folds' splits.
    """
    predictions = pd.concat([fold.predictions for fold in folds], ignore_index=True)
    receipts = [fold.receipt for fold in folds]
    options = {"resamples": params.evaluate.bootstrap, "seed": params.seed}
    scores = metrics.scores(predictions, **options)
    hashes = [receipt["split_sha256"] for receipt in receipts]
    return {
        "corpus": "+".join(params.data.corpora),
        "protocol": params.split.protocol,
        "model": params.model.name,
        "labels": _labels(params),
        "normalisation": "speaker-enrolled" if params.model.enrolled else "plain",
        "command": command,
        "split_sha256": hashlib.sha256("".join(hashes).encode()).hexdigest(),
        **scores,
        "folds": len(folds),
        "seconds": sum(receipt["seconds"] for receipt in receipts),
        "train_seconds": sum(receipt["scores"]["train/seconds"] for receipt in receipts),
        "inference_ms": float(np.median([r["scores"]["test/inference_ms"] for r in receipts])),
        "parameters": int(np.median([receipt["parameters"] for receipt in receipts])),
        "coverage": float(predictions["covered"].mean()),
        "coverage_asked": params.calibrate.coverage,
        "set_size": float(predictions["candidates"].mean()),
        "by_enrolment_clips": _by_clips(folds, options),
        "per_fold": receipts,
    }


def _labels(params: Params) -> str:
    """What `data.labels` made of the corpus's emotions, in a few words; `all`: no change."""
    chosen = params.data.labels
    kept = chosen.keep if isinstance(chosen.keep, str) else ", ".join(chosen.keep)
    merged = [f"{old} as {new}" for old, new in sorted(chosen.merge.items())]
    return "; ".join([kept, *merged]) if merged or kept != "all" else "all"


def _by_clips(folds: list[Fold], options: dict[str, Any]) -> list[dict[str, Any]]:
    """UAR by the number of enrolment clips, draws averaged."""
    parts = [fold.curve for fold in folds if fold.curve is not None]
    if not parts:
        return []
    curve = pd.concat(parts, ignore_index=True)
    return [
        {
            "known_by": known_by,
            "clips": int(rows["clips"].iloc[0]),
            "uar": float(np.mean([metrics.uar(draw) for _, draw in rows.groupby("draw")])),
            "uar_ci95": metrics.uar_interval(rows, **options),
            "ece": metrics.expected_calibration_error(rows),
            "coverage": float(rows["covered"].mean()),
        }
        for (known_by, _), rows in curve.groupby(["known_by", "clips"])
    ]
