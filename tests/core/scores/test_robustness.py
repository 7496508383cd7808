from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser.core.scores.robustness import LeftOut, gaps, measure
from ser.params import StressParams

EMOTIONS = ("anger", "fear", "sadness")
PARAMS = StressParams(resamples=300)


def answers_of(
    row: str,
    predicted: list[str],
    answer: list[str] | None = None,
    *,
    emotion: list[str] | None = None,
    speakers: int = 4,
) -> pd.DataFrame:
    """Answers to one row: speakers take turns, each with another voice and, by turns, sex."""
    n = len(predicted)
    turn = np.arange(n) % speakers
    return pd.DataFrame(
        {
            "row": row,
            "utterance": np.arange(n),
            "predicted": predicted,
            "answer": predicted if answer is None else answer,
            "speaker": [f"s{i}" for i in turn],
            "sex": ["female" if i % 2 else "male" for i in turn],
            "emotion": [EMOTIONS[i // speakers % 3] for i in range(n)]
            if emotion is None
            else emotion,
            "f0": 120.0 + 60.0 * (turn % 2),
        }
    )


def truth(n: int, speakers: int = 4) -> list[str]:
    return [EMOTIONS[i // speakers % 3] for i in range(n)]


def measured(clean, *others, families=None, params=PARAMS, **how):
    families = families or {str(o["row"].iloc[0]): "noise" for o in others}
    answers = pd.concat([clean, *others], ignore_index=True)
    return measure(answers, families, clean="clean", params=params, seed=7, **how)


def wrong(labels: list[str], places: list[int]) -> list[str]:
    labels = list(labels)
    for i in places:
        labels[i] = EMOTIONS[(EMOTIONS.index(labels[i]) + 1) % 3]
    return labels


def test_uar_and_its_change_equal_scikit_learn_s_macro_recall():
    rng = np.random.default_rng(1)
    clean, noisy = (wrong(truth(48), list(rng.choice(48, k, replace=False))) for k in (8, 20))
    found = measured(answers_of("clean", clean), answers_of("noise", noisy))
    expected = {
        name: recall_score(truth(48), predicted, average="macro")
        for name, predicted in (("clean", clean), ("noise", noisy))
    }
    (row,) = found.rows
    assert found.uar_clean == pytest.approx(expected["clean"])
    assert row.uar == pytest.approx(expected["noise"])
    assert row.delta == pytest.approx(expected["noise"] - expected["clean"])
    assert found.chance == pytest.approx(1 / 3)
    low, high = row.delta_ci95
    assert low < row.delta < high


def test_an_abstention_is_an_answer_of_its_own():
    """Named → not named and not named → named are changes; not named twice is none."""
    labels = truth(24)
    before, after = list(labels), list(labels)
    before[0] = after[0] = ""
    after[1] = ""
    before[2] = ""
    found = measured(answers_of("clean", labels, before), answers_of("noise", labels, after))
    (row,) = found.rows
    assert row.unchanged == pytest.approx(22 / 24)
    assert row.unchanged_answered == 1
    assert row.answered == pytest.approx(22 / 24)
    assert row.delta == 0, "UAR takes the most probable emotion all the same"
    assert found.answered_clean == pytest.approx(22 / 24)


def test_uar_answered_is_over_what_was_answered_and_none_where_nothing_was():
    labels, predicted = truth(24), wrong(truth(24), [0, 5, 10])
    right = ["" if i in (0, 5, 10) else label for i, label in enumerate(predicted)]
    clean = answers_of("clean", labels)
    assert measured(clean, answers_of("n", predicted, right)).rows[0].uar_answered == 1
    silent = measured(clean, answers_of("n", predicted, [""] * 24)).rows[0]
    assert silent.uar_answered is None
    assert silent.unchanged_answered is None
    assert silent.uar == pytest.approx(21 / 24)
    assert not silent.passed


def test_the_interval_is_paired_so_equal_answers_have_none():
    predicted = wrong(truth(24), [0, 5, 10])
    (row,) = measured(answers_of("clean", predicted), answers_of("n", predicted)).rows
    assert row.delta_ci95 == [0, 0]
    assert row.uar_ci95[0] < row.uar_ci95[1]


def test_a_row_passes_at_its_limits_and_fails_below_either():
    labels, clean = truth(60), answers_of("clean", truth(60))
    limits = {"limits": {"noise": {"delta": -0.05, "unchanged": 0.95}}}
    params = StressParams.model_validate(limits)

    def passed(*places: int) -> bool | None:
        noisy = answers_of("n", wrong(labels, list(places)))
        return measured(clean, noisy, params=params).rows[0].passed

    # Three of sixty: 95 % unchanged, UAR lower by 0.05.
    assert passed(0, 4, 8)
    assert not passed(0, 4, 8, 12)
    drifting = answers_of("n", labels, [""] * 4 + labels[4:])
    assert not measured(clean, drifting, params=params).rows[0].passed


def test_each_family_has_its_own_limits_and_one_without_is_not_judged():
    params = StressParams.model_validate({"limits": {"time": {"unchanged": None}}})
    labels = truth(20)
    rows = [answers_of(name, wrong(labels, [0, 1, 2])) for name in ("a", "b", "c")]
    families = {"a": "small", "b": "room", "c": "time"}
    found = measured(answers_of("clean", labels), *rows, families=families, params=params)
    assert [row.passed for row in found.rows] == [False, True, None]
    assert found.failed[0] == "a"
    assert [row.limits for row in found.rows] == [{"unchanged": 0.95}, {"unchanged": 0.8}, {}]


def test_the_order_of_the_answers_does_not_matter():
    rng = np.random.default_rng(2)
    clean = answers_of("clean", wrong(truth(48), [1, 2, 3]))
    noisy = answers_of("n", wrong(truth(48), [7, 8, 30]))
    shuffled = [one.iloc[rng.permutation(48)] for one in (clean, noisy)]
    assert measured(clean, noisy) == measured(*shuffled, families={"n": "noise"})


def test_without_labels_only_unchanged_answers_count():
    labels, nothing = truth(24), [""] * 24
    clean = answers_of("clean", labels, emotion=nothing)
    found = measured(clean, answers_of("n", wrong(labels, [0]), emotion=nothing))
    (row,) = found.rows
    assert (found.uar_clean, found.chance, row.uar, row.delta, row.delta_ci95) == (None,) * 5
    assert row.unchanged == pytest.approx(23 / 24)
    assert row.passed
    assert found.fairness == ()


def test_one_speaker_has_no_interval_and_no_gap():
    labels = truth(12, 1)
    clean, noisy = (answers_of(name, labels, speakers=1) for name in ("clean", "n"))
    found = measured(clean, noisy)
    assert found.rows[0].delta_ci95 is None
    assert all(gap.gap is None and gap.passed is None for gap in found.fairness)


def test_a_model_that_fails_one_sex_is_found():
    labels = truth(96)
    male = [i for i in range(96) if i % 4 % 2 == 0]
    clean = answers_of("clean", wrong(labels, male[:24]))
    by_name = {gap.name: gap for gap in gaps(clean, max_gap=0.075)}
    sex = by_name["sex"]
    assert sex.groups == pytest.approx({"female": 1.0, "male": 0.5})
    assert sex.speakers == {"female": 2, "male": 2}
    assert sex.gap == pytest.approx(0.5)
    assert sex.passed is False
    assert by_name["pitch"].groups.keys() == {"low", "medium"}
    assert by_name["speaker"].passed is None
    even = gaps(answers_of("clean", labels), max_gap=0.075)
    assert [gap.passed for gap in even] == [True, True, None]


def test_groups_of_few_utterances_are_shown_and_not_judged():
    """Of fifteen a sex, chance alone makes a gap of 0.125 every other time."""
    labels = truth(30)
    found = gaps(answers_of("clean", wrong(labels, [0, 4, 8])), max_gap=0.075)
    assert found[0].gap > 0.075
    assert [gap.passed for gap in found] == [None, None, None]


def test_speakers_of_unknown_sex_or_without_a_voiced_frame_are_in_no_group():
    clean = answers_of("clean", truth(48))
    clean.loc[clean["speaker"] == "s0", ["sex", "f0"]] = "unknown", np.nan
    sex, pitch, speaker = gaps(clean, max_gap=0.075)
    assert sum(sex.speakers.values()) == sum(pitch.speakers.values()) == 3
    assert len(speaker.groups) == 4


def test_what_could_not_be_made_is_in_the_table():
    clean = answers_of("clean", truth(24))
    lacks = LeftOut("codec", "AMR", "an encoder")
    value = measured(clean, answers_of("n", truth(24)), left_out=[lacks]).to_dict()
    assert value["schema"] == "ser.stress/1"
    assert value["left_out"] == [{"family": "codec", "name": "AMR", "lacks": "an encoder"}]
    assert value["rows"][0]["limits"] == {"delta": -0.05, "unchanged": 0.9}
