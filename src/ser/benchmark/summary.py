"""Folds become one result: scores over all test speakers, each once, ready for JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ser.benchmark.answering import answered_scores, answered_text
from ser.benchmark.designs import Design
from ser.benchmark.folds import Fold
from ser.core.scores import metrics
from ser.output import count_of
from ser.params import Params


def summarise(folds: list[Fold], params: Params, design: Design, *, command: str) -> dict[str, Any]:
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
        "corpus": design.corpus,
        "protocol": design.protocol,
        "model": params.model.name,
        "labels": design.labels,
        "normalisation": "speaker-enrolled" if params.model.enrolled else "plain",
        "command": command,
        "split_sha256": hashlib.sha256("".join(hashes).encode()).hexdigest(),
        **design.account,
        **scores,
        **answered_scores(predictions, **options),
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


def words_of(result: Mapping[str, Any]) -> str:
    """A result in lines to print."""
    interval = metrics.interval_text(result["uar_ci95"]) or "(too few speakers for an interval)"
    folds = [] if "test_corpus" in result else [count_of(result["folds"], "fold")]
    speakers = count_of(result["speakers"], "unseen speaker")
    tested = [result["corpus"], result["protocol"], *folds, speakers, result["normalisation"]]
    recalls = (f"{name} {one['recall']:.2f}" for name, one in result["per_class"].items())
    by_corpus = (f"{name} {uar:.3f}" for name, uar in result["uar_by_corpus"].items())
    lines = [
        f"{', '.join(tested)}: UAR {result['uar']:.3f} {interval}, chance {result['chance']:.3f}, "
        f"ECE {result['ece']:.3f}, {result['seconds']:.0f} s, "
        f"splits {result['split_sha256'][:12]}.",
        f"Recall: {', '.join(recalls)}.",
        *([f"UAR by corpus: {', '.join(by_corpus)}."] if result["uar_by_corpus"] else []),
        f"Abstention: {answered_text(result)}.",
    ]
    return "\n".join(lines)


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
