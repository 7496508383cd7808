"""The gate's rules, each on facts that it alone decides about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser.core.gate.comparison import FIRST
from ser.core.gate.judging import judge, ruled
from ser.core.gate.rules import Facts, rules
from ser.core.gate.verdict import Rule
from ser.errors import UnknownEmotion
from ser.params import GateParams

EMOTIONS = ("neutral", "anger", "fear")
PARAMS = GateParams(min_speakers=1)
GOOD_STRESS = {
    "answered_clean": 1.0,
    "rows": [{"family": f, "unchanged": 0.9} for f in PARAMS.min_unchanged],
}


def predictions(recall: dict[str, float], *, confidence: float = 0.8) -> pd.DataFrame:
    """Four speakers, two of each sex, ten utterances of each emotion each."""
    rows = []
    for speaker in range(4):
        for emotion, share in recall.items():
            other = EMOTIONS[(EMOTIONS.index(emotion) + 1) % 3]
            for i in range(10):
                predicted = emotion if i < round(10 * share) else other
                rows.append((f"{speaker}_{emotion}_{i}.wav", str(speaker), emotion, predicted))
    table = pd.DataFrame(rows, columns=["file", "speaker", "emotion", "predicted"])
    table = table.assign(corpus="c", start=0.0, end=1.0)
    table["sex"] = np.where(table["speaker"].astype(int) % 2, "male", "female")
    for emotion in EMOTIONS:
        rest = (1 - confidence) / 2
        table[f"p_{emotion}"] = np.where(table["predicted"] == emotion, confidence, rest)
    return table


GOOD = Facts(predictions(dict.fromkeys(EMOTIONS, 0.8)), GOOD_STRESS, rtf=0.01, megabytes=2)


def outcome(facts: Facts, name: str, champion: Facts | None = None, **limits: object) -> Rule:
    found = rules(facts, champion, PARAMS.model_copy(update=limits), seed=7)
    return next(rule for rule in found if rule.name == name)


def test_a_good_model_passes_every_rule() -> None:
    assert {rule.outcome for rule in rules(GOOD, None, PARAMS, seed=7)} == {"passed"}


def lacking(**changes: object) -> Facts:
    return replace(GOOD, **changes)


by_sex = GOOD.predictions.copy()
by_sex.loc[by_sex["sex"] == "male", "predicted"] = "neutral"
stressed = {**GOOD_STRESS, "rows": [{"family": "noise", "unchanged": 0.1}]}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (lacking(predictions=predictions(dict.fromkeys(EMOTIONS, 0.3))), "UAR above chance"),
        (
            lacking(predictions=predictions({"neutral": 0.9, "anger": 0.9, "fear": 0.0})),
            "recall of fear",
        ),
        (lacking(predictions=by_sex), "UAR gap by sex"),
        (
            lacking(predictions=predictions(dict.fromkeys(EMOTIONS, 0.5), confidence=1.0)),
            "ECE",
        ),
        (lacking(stress={**GOOD_STRESS, "answered_clean": 0.7}), "abstained"),
        (lacking(stress=stressed), "unchanged by noise"),
        (lacking(rtf=2.0), "real-time factor"),
        (lacking(megabytes=3000.0), "bundle (MB)"),
    ],
)
def test_each_rule_refuses_what_it_is_there_for(facts: Facts, name: str) -> None:
    rule = outcome(facts, name)
    assert rule.outcome == "failed"
    verdict = ruled(FIRST, facts, None, PARAMS, seed=7)
    assert not verdict.promote
    assert name in verdict.reason
    # What the champion misses, too, is no reason to refuse; that it is worse is one.
    if name != "UAR above chance":
        assert outcome(facts, name, champion=facts).outcome == "passed"
        assert outcome(facts, name, champion=GOOD).outcome == "failed"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (lacking(stress={}), "abstained"),
        (lacking(stress={}), "unchanged by noise"),
        (lacking(predictions=GOOD.predictions.assign(sex="unknown")), "UAR gap by sex"),
        (lacking(rtf=None), "real-time factor"),
        (
            lacking(predictions=GOOD.predictions[GOOD.predictions["speaker"] == "1"]),
            "UAR above chance",
        ),
    ],
)
def test_what_there_are_no_data_for_is_not_judged(facts: Facts, name: str) -> None:
    assert outcome(facts, name).outcome == "not judged"


def test_one_emotion_may_have_a_floor_of_its_own() -> None:
    floors = {"anger": 0.9}
    assert outcome(GOOD, "recall of anger", min_recall_of=floors).outcome == "failed"
    assert outcome(GOOD, "recall of fear", min_recall_of=floors).outcome == "passed"
    assert (
        outcome(GOOD, "recall of disgust", min_recall_of={"disgust": 0.5}).outcome == "not judged"
    )


def test_a_misspelt_emotion_is_named() -> None:
    with pytest.raises(UnknownEmotion, match="angr"):
        rules(GOOD, None, PARAMS.model_copy(update={"min_recall_of": {"angr": 0.5}}), seed=7)


def test_no_rule_is_left_where_all_are_switched_off() -> None:
    off = GateParams(
        over_chance=False,
        min_recall=None,
        max_sex_gap=None,
        max_ece=None,
        max_abstained=None,
        min_unchanged={},
        max_rtf=None,
        max_megabytes=None,
    )
    assert rules(GOOD, None, off, seed=7) == ()


def test_a_better_challenger_that_breaks_a_rule_is_refused_with_both_reasons() -> None:
    better = replace(GOOD, predictions=predictions(dict.fromkeys(EMOTIONS, 0.9)), rtf=2.0)
    verdict = judge(better, GOOD, PARAMS, seed=7)
    assert not verdict.promote
    assert verdict.reason.startswith("Refused by rule: real-time factor 2.000 (limit 0.250). Not ")
    assert judge(replace(better, rtf=0.1), GOOD, PARAMS, seed=7).promote
