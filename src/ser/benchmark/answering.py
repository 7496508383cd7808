"""Which of the tested utterances a model would answer, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.bundle import Bundle
from ser.core.scores import metrics
from ser.core.uncertainty.abstention import Abstention, decide
from ser.core.utterance.segments import Segment
from ser.core.utterance.tables import posterior_columns, segments_of
from ser.front_end import FrontEnd
from ser.io.audio.read import load_segments
from ser.io.storage.examples import load_examples
from ser.parallel import in_parallel


def abstentions(
    home: Path, bundle: Bundle, predictions: pd.DataFrame, test: pd.DataFrame
) -> list[str]:
    """The reason for which `Predictor` would not answer each utterance; "" where it answers.

    predictions : for the same rows as `test`, a manifest's.
    """
    front_end = FrontEnd(bundle.features, bundle.abstention)
    jobs = [
        (front_end, home / file, sha256, segment)
        for file, sha256, segment in zip(
            test["file"], test["sha256"], segments_of(test), strict=True
        )
    ]
    by_signal = in_parallel(_refused, jobs, doing="judge signals")
    novelty = _novelty(home, bundle, test)
    confidence = predictions[posterior_columns(predictions)].to_numpy().max(axis=1)
    reasons: list[str] = []
    for refused, far, sure in zip(by_signal, novelty, confidence, strict=True):
        why = refused or decide(bundle.abstention, novelty=far, confidence=float(sure))
        reasons.append(why.reason if why else "")
    return reasons


def _refused(front_end: FrontEnd, path: Path, sha256: str, segment: Segment) -> Abstention | None:
    ((y, sr),) = load_segments(path, [segment], sha256=sha256)
    return front_end.refuse(y, sr=sr)


def _novelty(home: Path, bundle: Bundle, test: pd.DataFrame) -> np.ndarray | list[None]:
    """Distance of each utterance to the training speech, over the limit: (n,)."""
    percentile = bundle.abstention.max_novelty_percentile
    if bundle.novelty is None or percentile is None:
        return [None] * len(test)
    functionals = load_examples(home, frozenset({"functionals"}), test).inputs.functionals
    assert functionals is not None
    limit = bundle.novelty.limit(percentile)
    return np.asarray(bundle.novelty.distance(functionals.to_numpy()) / limit)


def answered_scores(predictions: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, Any]:
    """Share answered and UAR over that share; None where nothing is answered.

    predictions : with `abstained`, see `abstentions`. `uar_answered` is over the
    `emotions_answered` that occur among the answered utterances.
    """
    given = predictions[predictions["abstained"] == ""]
    counts = predictions.loc[predictions["abstained"] != "", "abstained"].value_counts()
    empty = given.empty
    return {
        "answered": len(given) / len(predictions),
        "uar_answered": None if empty else metrics.uar(given),
        "uar_answered_ci95": None
        if empty
        else metrics.uar_interval(given, resamples=resamples, seed=seed),
        "emotions_answered": int(given["emotion"].nunique()),
        "abstained": {str(reason): int(n) for reason, n in counts.items()},
    }


def answered_text(result: Mapping[str, Any]) -> str:
    """
    >>> answered_text({"answered": 0.0, "uar_answered": None, "emotions": 6})
    'nothing answered'
    >>> some = {"answered": 0.5, "uar_answered": 0.4, "emotions_answered": 6, "emotions": 6}
    >>> answered_text(some)
    'answered 50 %, with UAR 0.400'
    """
    if result["uar_answered"] is None:
        return "nothing answered"
    fewer = result["emotions_answered"] < result["emotions"]
    over = f" over {result['emotions_answered']} of the emotions" if fewer else ""
    return f"answered {100 * result['answered']:.0f} %, with UAR {result['uar_answered']:.3f}{over}"
