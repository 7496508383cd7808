"""Scores of predictions, each beside chance, with intervals over speakers.

All functions take a predictions table (see `core.utterance.tables`). UAR, the unweighted average
recall, leads: it is the macro recall over the emotions that were uttered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ser.core.utterance.emotions import classes_of
from ser.core.utterance.sentences import sentence_text
from ser.core.utterance.tables import check_predictions, is_known, posterior_columns

ECE_BINS = 15
#: Share of the resamples that must hold every emotion.
LEAST_COMPLETE = 0.5
#: Percentiles of a 95 % interval.
BOUNDS = (2.5, 97.5)


def scores(predictions: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, Any]:
    """All scores of one split, for JSON.

    `uar_ci95` is a percentile bootstrap over speakers, or None with fewer than two. UAR, macro
    scores and chance are over the `emotions` that were uttered; `emotions_missing` are classes of
    the model that nobody uttered. Scores by sex leave out speakers of unknown sex; those by corpus
    are empty where there is one.
    """
    check_predictions(predictions)
    classes = classes_of(predictions["emotion"])
    by_corpus = _uar_by(predictions, "corpus")
    actual, predicted = predictions["emotion"], predictions["predicted"]
    precision, recall, f1, support = _per_class(actual, predicted, classes)
    return {
        "uar": float(recall.mean()),
        "uar_ci95": uar_interval(predictions, resamples=resamples, seed=seed),
        "accuracy": float((actual == predicted).mean()),
        "precision_macro": float(precision.mean()),
        "recall_macro": float(recall.mean()),
        "f1_macro": float(f1.mean()),
        "chance": 1 / len(classes),
        "emotions": len(classes),
        "emotions_missing": list(missing_emotions(predictions)),
        "ece": expected_calibration_error(predictions),
        "utterances": len(predictions),
        "speakers": int(predictions["speaker"].nunique()),
        "per_class": {
            emotion: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, emotion in enumerate(classes)
        },
        "uar_by_sex": _uar_by(predictions[is_known(predictions["sex"])], "sex"),
        "uar_by_corpus": by_corpus if len(by_corpus) > 1 else {},
    }


def _uar_by(predictions: pd.DataFrame, column: str) -> dict[str, float]:
    groups = predictions.groupby(column, observed=True)
    return {str(name): uar(part) for name, part in groups}


def missing_emotions(predictions: pd.DataFrame) -> tuple[str, ...]:
    """Classes of the model that nobody uttered."""
    known = {column.removeprefix("p_") for column in posterior_columns(predictions)}
    return classes_of(known - set(predictions["emotion"]))


def emotions_text(scores: dict[str, Any]) -> str:
    """The emotions of UAR and chance: "6 emotions", "5 of 6 emotions (nobody tested …)"."""
    missing, uttered = scores["emotions_missing"], scores["emotions"]
    if not missing:
        return f"{uttered} emotions"
    return (
        f"{uttered} of {uttered + len(missing)} emotions (nobody tested utters "
        f"{', '.join(missing)})"
    )


def audit_text(audit: Mapping[str, Any]) -> str:
    """What the audit of the split found, in words; it stands beside every score."""
    return (
        f"Split {audit['split_sha256'][:12]}: {audit['shared_speakers']} speakers and "
        f"{audit['copies_across_splits']} recordings in two splits; "
        f"{sentence_text(audit['sentence_overlap'], audit['sentence_unknown'])}."
    )


def interval_text(interval: Sequence[float] | None) -> str:
    """
    >>> interval_text((0.4123, 0.5371)), interval_text(None)
    ('[0.412, 0.537]', '')
    """
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _per_class(
    actual: pd.Series, predicted: pd.Series, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall, F1 and support of each class, 0 for a class never predicted."""
    order = list(classes)
    support = actual.value_counts().reindex(order, fill_value=0).to_numpy(float)
    claimed = predicted.value_counts().reindex(order, fill_value=0).to_numpy(float)
    right = actual[actual == predicted].value_counts().reindex(order, fill_value=0).to_numpy(float)
    precision = right / np.maximum(claimed, 1)
    recall = right / support
    return precision, recall, 2 * right / (claimed + support), support


def uar(predictions: pd.DataFrame) -> float:
    """Unweighted average recall.

    >>> emotion, predicted = ["anger", "anger", "anger", "fear"], ["anger", "anger", "fear", "fear"]
    >>> round(uar(pd.DataFrame({"emotion": emotion, "predicted": predicted})), 3)
    0.833
    """
    right = predictions["emotion"] == predictions["predicted"]
    return float(right.groupby(predictions["emotion"], observed=True).mean().mean())


def speaker_hits(
    predictions: pd.DataFrame, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of recognised and of all utterances, each (n_speakers, n_classes).

    Speakers are in sorted order.
    """
    right = (predictions["emotion"] == predictions["predicted"]).astype(float)
    by = right.groupby([predictions["speaker"], predictions["emotion"]])
    hits, total = (
        counts.unstack(fill_value=0).reindex(columns=list(classes), fill_value=0).to_numpy(float)
        for counts in (by.sum(), by.count())
    )
    return hits, total


def resample_speakers(n_speakers: int, *, resamples: int, seed: int) -> np.ndarray:
    """How often each speaker is drawn in each bootstrap resample: (resamples, n_speakers)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=resamples)


def resampled_uar(hits: np.ndarray, total: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """UAR of each resample, (resamples,); an emotion that no drawn speaker utters is left out."""
    uttered = weights @ total
    with np.errstate(invalid="ignore"):
        recall = (weights @ hits) / np.where(uttered > 0, uttered, np.nan)
    return np.nanmean(recall, axis=1)


def uar_interval(predictions: pd.DataFrame, *, resamples: int, seed: int) -> list[float] | None:
    """95 % percentile interval of UAR over resampled speakers; None for a single speaker.

    None, too, where few speakers utter some emotion, see `complete_draws`.
    """
    hits, total = speaker_hits(predictions, classes_of(predictions["emotion"]))
    if len(hits) < 2:
        return None
    weights = resample_speakers(len(hits), resamples=resamples, seed=seed)
    complete = complete_draws(weights @ total)
    return None if complete is None else interval_of(resampled_uar(hits, total, weights[complete]))


def complete_draws(uttered: np.ndarray) -> np.ndarray | None:
    """Which resamples hold every emotion, (resamples,) bool: UAR of others is over fewer emotions.

    uttered : how often each emotion is in each resample, (resamples, n_classes). None where fewer
    than `LEAST_COMPLETE` of them do: then the same few speakers are in all that count, and their
    spread says nothing of other speakers.
    """
    complete = np.asarray((uttered > 0).all(axis=1))
    return complete if complete.mean() >= LEAST_COMPLETE else None


def interval_of(drawn: np.ndarray) -> list[float]:
    """95 % percentile interval of a score's resamples, (resamples,); NaN does not count."""
    low, high = np.nanpercentile(drawn, BOUNDS)
    return [float(low), float(high)]


def place_in_bins(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, whether the answer is right, and the bin of confidence: each (n,).

    ECE_BINS bins of equal width from 0 to 1.
    """
    confidence = predictions[posterior_columns(predictions)].to_numpy().max(axis=1)
    right = (predictions["emotion"] == predictions["predicted"]).to_numpy()
    return confidence, right, np.clip((confidence * ECE_BINS).astype(int), 0, ECE_BINS - 1)


def expected_calibration_error(predictions: pd.DataFrame) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, Naeini et al. 2015."""
    confidence, right, place = place_in_bins(predictions)
    gap = np.bincount(place, weights=confidence) - np.bincount(place, weights=right)
    return float(np.abs(gap).sum() / len(place))


def reliability(predictions: pd.DataFrame) -> list[dict[str, float]]:
    """The bins of the calibration error that hold utterances: `low` and `high` confidence, mean
    `confidence`, `accuracy` and `utterances` of each."""
    confidence, right, place = place_in_bins(predictions)
    counts = np.bincount(place, minlength=ECE_BINS)
    mean_confidence, accuracy = (
        np.bincount(place, values, ECE_BINS) / np.maximum(counts, 1)
        for values in (confidence, right)
    )
    return [
        {
            "low": bin_ / ECE_BINS,
            "high": (bin_ + 1) / ECE_BINS,
            "confidence": float(mean_confidence[bin_]),
            "accuracy": float(accuracy[bin_]),
            "utterances": int(counts[bin_]),
        }
        for bin_ in np.flatnonzero(counts).tolist()
    ]


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Counts, rows the uttered emotion, columns the predicted one."""
    predicted = [c.removeprefix("p_") for c in posterior_columns(predictions)]
    table = pd.crosstab(predictions["emotion"], predictions["predicted"])
    actual = list(classes_of(predictions["emotion"]))
    return table.reindex(index=actual, columns=predicted, fill_value=0)
