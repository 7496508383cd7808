"""The rules beside the comparison: what no model may be, however good its UAR is.

A limit that the champion misses, too, cannot be asked of each challenger, or a model that is better
in all ways would be refused for what it has not made worse. Such a rule passes where the
challenger is no worse than the champion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ser.core.gate.verdict import Outcome, Rule
from ser.core.scores import metrics
from ser.core.scores.robustness import gap_between
from ser.core.utterance.emotions import check_emotions, classes_of
from ser.core.utterance.tables import is_known
from ser.params import GateParams

#: Figures that differ by less are equal.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Facts:
    """What rules read of one model.

    predictions : of the test split (see `core.utterance.tables`). stress : the stress table as its
    JSON has it. rtf : seconds of processor for a second of speech. megabytes : of the bundle. None
    or empty where it is not known.
    """

    predictions: pd.DataFrame
    stress: Mapping[str, Any] = field(default_factory=dict)
    rtf: float | None = None
    megabytes: float | None = None


def rules(
    challenger: Facts, champion: Facts | None, params: GateParams, *, seed: int
) -> tuple[Rule, ...]:
    """Every rule that `params` asks for, with its outcome; UnknownEmotion for a misspelt one."""
    check_emotions(params.min_recall_of)
    figures = dict(_figures(challenger))
    before = dict(_figures(champion)) if champion else {}
    found = []
    if params.over_chance:
        found.append(_over_chance(challenger.predictions, params.resamples, seed))
    for name, limit, most in _limits(params, challenger.predictions):
        found.append(_held(name, figures.get(name), before.get(name), limit, most=most))
    return tuple(found)


def _limits(params: GateParams, predictions: pd.DataFrame) -> Iterator[tuple[str, float, bool]]:
    """Name and limit of each rule, and whether the limit is the most that is allowed."""
    for emotion in classes_of({*predictions["emotion"], *params.min_recall_of}):
        least = params.min_recall_of.get(emotion, params.min_recall)
        if least is not None:
            yield f"recall of {emotion}", least, False
    if params.max_sex_gap is not None:
        yield "UAR gap by sex", params.max_sex_gap, True
    if params.max_ece is not None:
        yield "ECE", params.max_ece, True
    if params.max_abstained is not None:
        yield "abstained", params.max_abstained, True
    for family, least in params.min_unchanged.items():
        yield f"unchanged by {family}", least, False
    if params.max_rtf is not None:
        yield "real-time factor", params.max_rtf, True
    if params.max_megabytes is not None:
        yield "bundle (MB)", params.max_megabytes, True


def _figures(facts: Facts) -> Iterator[tuple[str, float]]:
    """The figure of each rule that there are data for."""
    table = facts.predictions
    for emotion, rows in table.groupby("emotion", observed=True):
        yield f"recall of {emotion}", float((rows["predicted"] == rows["emotion"]).mean())
    sexes = gap_between("sex", table, table["sex"].where(is_known(table["sex"])), limit=1.0)
    # It is not judged between few people, or few utterances of them.
    if sexes.gap is not None and sexes.passed is not None:
        yield "UAR gap by sex", sexes.gap
    yield "ECE", metrics.expected_calibration_error(table)
    if "answered_clean" in facts.stress:
        yield "abstained", 1 - float(facts.stress["answered_clean"])
    stressed = pd.DataFrame(facts.stress.get("rows", []), columns=["family", "unchanged"])
    for family, share in stressed.groupby("family")["unchanged"].mean().items():
        yield f"unchanged by {family}", float(share)
    if facts.rtf is not None:
        yield "real-time factor", facts.rtf
    if facts.megabytes is not None:
        yield "bundle (MB)", facts.megabytes


def _held(
    name: str, figure: float | None, champion: float | None, limit: float, *, most: bool
) -> Rule:
    if figure is None:
        return Rule(name, None, limit, "not judged", champion, "no data for it")
    sign = 1 if most else -1

    def within(bound: float) -> bool:
        return sign * (figure - bound) <= TOLERANCE

    if within(limit):
        return Rule(name, figure, limit, "passed", champion)
    if champion is not None and within(champion):
        return Rule(name, figure, limit, "passed", champion, "the champion is no better")
    return Rule(name, figure, limit, "failed", champion)


def _over_chance(predictions: pd.DataFrame, resamples: int, seed: int) -> Rule:
    """Whether UAR is surely above that of guessing."""
    name, chance = "UAR above chance", 1 / len(classes_of(predictions["emotion"]))
    interval = metrics.uar_interval(predictions, resamples=resamples, seed=seed)
    if interval is None:
        return Rule(name, metrics.uar(predictions), chance, "not judged", None, "too few speakers")
    outcome: Outcome = "passed" if interval[0] > chance else "failed"
    return Rule(name, interval[0], chance, outcome, None, "lower end of UAR's 95 % interval")
