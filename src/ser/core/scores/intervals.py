"""95 % intervals of all scores of a split: one percentile bootstrap over its speakers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ser.core.scores.metrics import (
    ECE_BINS,
    complete_draws,
    interval_of,
    place_in_bins,
    resample_speakers,
)
from ser.core.utterance.emotions import classes_of
from ser.core.utterance.tables import posterior_columns

Interval = list[float]


def intervals(predictions: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, Interval]:
    """Intervals by score, named as in `metrics.scores`, and `recall_anger` … of each emotion.

    Coverage and size of prediction sets are among them where the table has the columns `covered`
    and `candidates`. Empty for a single speaker: nothing says how speakers differ; and where
    few utter some emotion, see `metrics.complete_draws`.
    """
    classes = classes_of(predictions["emotion"])
    speakers, speaker = np.unique(predictions["speaker"].to_numpy(str), return_inverse=True)
    if len(speakers) < 2:
        return {}
    counts = _confusions(predictions, speaker, classes)
    weights = resample_speakers(len(speakers), resamples=resamples, seed=seed)
    complete = complete_draws(np.tensordot(weights, counts.sum(axis=2), 1))
    if complete is None:
        return {}
    weights = weights[complete]
    drawn = {**_of_confusions(np.tensordot(weights, counts, 1), classes)}
    total = weights @ np.bincount(speaker)
    drawn["ece"] = _ece(predictions, speaker, weights) / total
    for score, column in {"coverage": "covered", "set_size": "candidates"}.items():
        if column in predictions:
            drawn[score] = weights @ np.bincount(speaker, predictions[column]) / total
    return {name: interval_of(values) for name, values in drawn.items()}


def _confusions(
    predictions: pd.DataFrame, speaker: np.ndarray, classes: tuple[str, ...]
) -> np.ndarray:
    """Counts (n_speakers, n_uttered, n_predicted); the uttered emotions are predicted's first."""
    others = [
        name
        for column in posterior_columns(predictions)
        if (name := column.removeprefix("p_")) not in classes
    ]
    places = {name: place for place, name in enumerate([*classes, *others])}
    actual = predictions["emotion"].map(places).to_numpy()
    predicted = predictions["predicted"].map(places).to_numpy()
    counts = np.zeros((speaker.max() + 1, len(classes), len(places)))
    np.add.at(counts, (speaker, actual, predicted), 1)
    return counts


def _of_confusions(counts: np.ndarray, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Scores of resampled counts (resamples, n_uttered, n_predicted), as in `metrics.scores`."""
    support = counts.sum(axis=2)
    claimed = counts.sum(axis=1)[:, : len(classes)]
    right = np.diagonal(counts, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        recall = right / np.where(support > 0, support, np.nan)
    f1 = 2 * right / np.maximum(claimed + support, 1)
    return {
        "uar": np.nanmean(recall, axis=1),
        "accuracy": right.sum(axis=1) / support.sum(axis=1),
        "precision_macro": (right / np.maximum(claimed, 1)).mean(axis=1),
        "recall_macro": np.nanmean(recall, axis=1),
        "f1_macro": f1.mean(axis=1),
        **{f"recall_{name}": recall[:, place] for place, name in enumerate(classes)},
    }


def _ece(predictions: pd.DataFrame, speaker: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of the gaps between confidence and accuracy over bins, (resamples,)."""
    confidence, right, place = place_in_bins(predictions)
    cell = speaker * ECE_BINS + place
    size = (speaker.max() + 1) * ECE_BINS
    gap = np.bincount(cell, confidence, size) - np.bincount(cell, right, size)
    return np.abs(weights @ gap.reshape(-1, ECE_BINS)).sum(axis=1)
