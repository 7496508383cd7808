"""The stress table: how far a model's answers, and its UAR, change with the recording. Pure.

An utterance's answer is an emotion, or none where the predictor abstains. *Unchanged* is the share
of utterances whose answer is the one to the recording as it is: to abstain where an emotion was
named before, or to name one where there was none, is a change. UAR takes the most probable emotion
of each utterance, whether the predictor abstains or not (and counts an utterance as wrong that has
none); *UAR answered* is over the utterances that were answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.core.scores.metrics import (
    complete_draws,
    interval_of,
    resample_speakers,
    resampled_uar,
    speaker_hits,
    uar,
)
from ser.core.utterance.emotions import classes_of
from ser.core.utterance.tables import is_known
from ser.params import LimitParams, StressParams

SCHEMA = "ser.stress/1"
#: Mean F0 of a speaker, Hz, up to which a voice is low, and up to which it is medium (ser-tests).
LOW_HZ, MEDIUM_HZ = 145.0, 190.0
#: What each group must have, or the gap between them is not judged.
LEAST_SPEAKERS, LEAST_UTTERANCES = 2, 20
#: Rounding of shares must not fail a row that reaches its limit exactly.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Row:
    """One change of the recordings; intervals are 95 % percentile bootstraps over speakers.

    UARs and `delta` are None where utterances have no labels, intervals where there is one speaker,
    `uar_answered` where nothing was answered. unchanged_answered : the share that stayed, of the
    utterances that were answered both times. limits, passed : None where there is none.
    """

    family: str
    name: str
    uar: float | None
    uar_ci95: list[float] | None
    delta: float | None
    delta_ci95: list[float] | None
    uar_answered: float | None
    answered: float
    unchanged: float
    unchanged_answered: float | None
    limits: dict[str, float]
    passed: bool | None


@dataclass(frozen=True)
class Gap:
    """UAR by group, as recorded; gap : the largest minus the smallest. speakers : of each group.

    limit : None for what is only reported. passed : None there, where there is one group, and
    where a group has fewer than `LEAST_SPEAKERS` or `LEAST_UTTERANCES`: its UAR is mostly chance.
    """

    name: str
    groups: dict[str, float]
    speakers: dict[str, int]
    gap: float | None
    limit: float | None
    passed: bool | None


@dataclass(frozen=True)
class LeftOut:
    """A row that could not be made, and what it lacks."""

    family: str
    name: str
    lacks: str


@dataclass(frozen=True)
class Stress:
    """The table, and what it is of. chance, uar_clean : None without labels."""

    rows: tuple[Row, ...]
    fairness: tuple[Gap, ...]
    left_out: tuple[LeftOut, ...]
    utterances: int
    speakers: int
    chance: float | None
    uar_clean: float | None
    uar_clean_ci95: list[float] | None
    answered_clean: float
    seed: int

    @property
    def failed(self) -> list[str]:
        """Names of the rows and gaps that miss a limit."""
        return [
            *(row.name for row in self.rows if row.passed is False),
            *(gap.name for gap in self.fairness if gap.passed is False),
        ]

    @property
    def judged(self) -> int:
        """How many rows and gaps have a limit."""
        verdicts = [*(row.passed for row in self.rows), *(gap.passed for gap in self.fairness)]
        return sum(passed is not None for passed in verdicts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `{"schema": "ser.stress/1", "rows": […], "fairness": […], …}`."""
        return {
            "schema": SCHEMA,
            **{k: v for k, v in asdict(self).items() if k not in ("rows", "fairness", "left_out")},
            "judged": self.judged,
            "failed": self.failed,
            "rows": [asdict(row) for row in self.rows],
            "fairness": [asdict(gap) for gap in self.fairness],
            "left_out": [asdict(one) for one in self.left_out],
        }


def measure(
    answers: pd.DataFrame,
    families: Mapping[str, str],
    *,
    clean: str,
    params: StressParams,
    seed: int,
    left_out: Sequence[LeftOut] = (),
) -> Stress:
    """The table of answers to the recordings as they are, row `clean`, and changed.

    answers : columns row, utterance, speaker, sex, emotion ("" without labels), f0, predicted and
    answer ("" for none), each row with the same utterances. families : of each other row by its
    name, in the table's order.
    """
    by_row = {
        str(name): own.sort_values("utterance").reset_index(drop=True)
        for name, own in answers.groupby("row", sort=False)
    }
    before = by_row[clean]
    speakers = int(before["speaker"].nunique())
    weights = (
        resample_speakers(speakers, resamples=params.resamples, seed=seed) if speakers > 1 else None
    )
    labelled = bool((before["emotion"] != "").all()) and not before.empty
    classes = classes_of(before["emotion"]) if labelled else ()
    draws = _draws(before, classes, weights)
    rows = tuple(
        _row(name, family, by_row[name], before, classes, weights, draws, params.limits.of(family))
        for name, family in families.items()
    )
    return Stress(
        rows=rows,
        fairness=gaps(before, max_gap=params.max_gap) if labelled else (),
        left_out=tuple(left_out),
        utterances=len(before),
        speakers=speakers,
        chance=1 / len(classes) if classes else None,
        uar_clean=uar(before) if labelled else None,
        uar_clean_ci95=_interval(draws),
        answered_clean=float((before["answer"] != "").mean()),
        seed=seed,
    )


def gaps(clean: pd.DataFrame, *, max_gap: float) -> tuple[Gap, ...]:
    """By sex, by a speaker's mean F0 (low, medium, high) and by speaker, which is only reported.

    clean : columns speaker, sex, f0, emotion, predicted. Speakers of unknown sex, or without a
    voiced frame, are in no group.
    """
    pitch = clean.groupby("speaker")["f0"].transform("mean")
    named = pd.cut(pitch, [0, LOW_HZ, MEDIUM_HZ, np.inf], labels=["low", "medium", "high"])
    sex = clean["sex"].where(is_known(clean["sex"]))
    return (
        gap_between("sex", clean, sex, max_gap),
        gap_between("pitch", clean, named.astype(object), max_gap),
        gap_between("speaker", clean, clean["speaker"], None),
    )


def gap_between(name: str, clean: pd.DataFrame, group: pd.Series, limit: float | None) -> Gap:
    """The gap between the groups of utterances; who is in none (NaN) does not count."""
    groups, speakers, is_enough = {}, {}, True
    for one, own in clean.groupby(group, sort=True):
        groups[str(one)], speakers[str(one)] = uar(own), int(own["speaker"].nunique())
        is_enough &= speakers[str(one)] >= LEAST_SPEAKERS and len(own) >= LEAST_UTTERANCES
    gap = max(groups.values()) - min(groups.values()) if len(groups) > 1 else None
    passed = None
    if limit is not None and gap is not None and is_enough:
        passed = gap <= limit + TOLERANCE
    return Gap(name, groups, speakers, gap, limit, passed)


def _row(
    name: str,
    family: str,
    own: pd.DataFrame,
    before: pd.DataFrame,
    classes: tuple[str, ...],
    weights: np.ndarray | None,
    clean_draws: np.ndarray | None,
    limits: LimitParams,
) -> Row:
    draws = _draws(own, classes, weights)
    same, answered = own["answer"] == before["answer"], own["answer"] != ""
    both = answered & (before["answer"] != "")
    level = uar(own) if classes else None
    delta = None if level is None else level - uar(before)
    unchanged = float(same.mean())
    values = {"delta": delta, "unchanged": unchanged}
    asked = {k: v for k, v in limits.model_dump().items() if v is not None}
    # Without labels there is no change of UAR.
    reached = [v >= asked[k] - TOLERANCE for k, v in values.items() if k in asked and v is not None]
    paired = None if draws is None or clean_draws is None else draws - clean_draws
    return Row(
        family=family,
        name=name,
        uar=level,
        uar_ci95=_interval(draws),
        delta=delta,
        delta_ci95=_interval(paired),
        uar_answered=uar(own[answered]) if classes and answered.any() else None,
        answered=float(answered.mean()),
        unchanged=unchanged,
        unchanged_answered=float(same[both].mean()) if both.any() else None,
        limits=asked,
        passed=all(reached) if reached else None,
    )


def _draws(
    own: pd.DataFrame, classes: tuple[str, ...], weights: np.ndarray | None
) -> np.ndarray | None:
    """UAR in each resample of the speakers; resamples that lack an emotion do not count."""
    if weights is None or not classes:
        return None
    hits, total = speaker_hits(own, classes)
    complete = complete_draws(weights @ total)
    return None if complete is None else resampled_uar(hits, total, weights[complete])


def _interval(draws: np.ndarray | None) -> list[float] | None:
    return None if draws is None else interval_of(draws)
