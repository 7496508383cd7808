"""Scores under the names that MLflow shows: `test/uar`, `dev/recall_anger`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: MLflow's list shows a number with all its digits.
DIGITS = 4
#: Scores that dev and test have, in this order.
SCORES = (
    *("uar", "accuracy", "precision_macro", "recall_macro", "f1_macro"),
    *("ece", "coverage", "set_size", "chance"),
)


def named_scores(split: str, scores: Mapping[str, Any]) -> dict[str, float]:
    """Scores of one split of reports/metrics.json: all in all, its interval where there is one,
    and by emotion, sex and, where there are several, corpus. Rounded to four digits."""
    values: dict[str, float] = {name: scores[name] for name in SCORES if name in scores}
    values |= interval(scores)
    values |= {f"recall_{emotion}": v["recall"] for emotion, v in scores["per_class"].items()}
    values |= {f"uar_{sex}": value for sex, value in scores["uar_by_sex"].items()}
    values |= {f"uar_{corpus}": value for corpus, value in scores["uar_by_corpus"].items()}
    return rounded({f"{split}/{name}": value for name, value in values.items()})


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """As MLflow's list is read."""
    return {name: round(value, DIGITS) for name, value in values.items()}


def interval(scores: Mapping[str, Any]) -> dict[str, float]:
    """The bounds of the UAR by name; none where there is one speaker."""
    return dict(zip(("uar_low", "uar_high"), scores["uar_ci95"] or (), strict=False))
