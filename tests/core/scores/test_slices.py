"""Scores of parts of the test, by a second route."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_score

from ser.core.scores import metrics
from ser.core.scores.intervals import intervals
from ser.core.scores.mistakes import OF_ONE_SPEAKER, mistakes
from ser.core.scores.slices import slices, with_facts

CLASSES = ("neutral", "happiness", "anger")
OPTIONS = {"resamples": 500, "seed": 7}


def answers(speakers: int = 6, each: int = 30, *, seed: int = 1) -> pd.DataFrame:
    """Answers of a model that is right about half of the time, with facts of each utterance."""
    rng = np.random.default_rng(seed)
    n = speakers * each
    emotion = rng.choice(CLASSES, n)
    posteriors = rng.dirichlet(np.ones(3), n)
    posteriors[np.arange(n), [CLASSES.index(e) for e in emotion]] += 0.4
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    speaker = np.repeat([f"c/{i:02d}" for i in range(speakers)], each)
    table = pd.DataFrame(
        {
            "corpus": "c",
            "file": [f"data/raw/c/{i:04d}.wav" for i in range(n)],
            "start": 0.0,
            "end": 1.0,
            "speaker": speaker,
            "sex": np.where(np.arange(n) < n // 2, "female", "unknown"),
            "split": "test",
            "emotion": emotion,
            "predicted": np.asarray(CLASSES)[posteriors.argmax(axis=1)],
            "intensity": np.where(np.arange(n) % 2, "strong", "normal"),
            "sentence": "unknown",
            "duration": np.where(np.arange(n) % 3, 1.5, 12.0),
        }
    )
    return table.join(pd.DataFrame(posteriors, columns=[f"p_{c}" for c in CLASSES]))


def test_the_score_of_every_group_is_scikit_learn_s_macro_recall() -> None:
    table = answers()
    found = slices(table, **OPTIONS)
    of_speakers = {s.group: s for s in found if s.by == "speaker"}
    assert set(of_speakers) == set(table["speaker"])
    for group, part in table.groupby("speaker"):
        expected = balanced_accuracy_score(part["emotion"], part["predicted"])
        assert of_speakers[group].uar == pytest.approx(expected)
    strong = next(s for s in found if (s.by, s.group) == ("intensity", "strong"))
    part = table[table["intensity"] == "strong"]
    assert strong.uar == pytest.approx(balanced_accuracy_score(part["emotion"], part["predicted"]))
    assert (strong.utterances, strong.speakers, strong.over) == (90, 6, "speakers")


def test_groups_come_in_a_natural_order_and_unknown_ones_are_none() -> None:
    found = slices(answers(), **OPTIONS)
    groups = {by: [s.group for s in found if s.by == by] for by in {s.by for s in found}}
    assert groups["intensity"] == ["normal", "strong"]
    assert groups["duration"] == ["1 to 2 s", "10 s and more"]
    # A single sex is known, a single corpus there, and no sentence.
    assert not {"sex", "corpus", "sentence"} & set(groups)


def test_a_group_of_which_little_is_known_says_so() -> None:
    table = answers()
    few = table[(table["speaker"] != "c/05") | (table.index % 10 == 0)]
    found = {(s.by, s.group): s for s in slices(few, **OPTIONS)}
    assert found["speaker", "c/05"].too_few == "under 20 utterances"
    assert found["speaker", "c/00"].too_few == ""
    two = answers(speakers=2)
    assert {s.too_few for s in slices(two, **OPTIONS) if s.by == "duration"} == {"under 3 speakers"}
    one = table[table["emotion"] == "anger"]
    assert {s.too_few for s in slices(one, **OPTIONS)} == {"one emotion alone"}


def test_a_speaker_s_interval_is_about_as_wide_as_that_of_a_proportion() -> None:
    """Recall p of each emotion over n utterances: the standard error of their mean is known."""
    n, p = 400, 0.7
    emotion = np.repeat(CLASSES[:2], n)
    right = np.tile(np.arange(n) < n * p, 2)
    other = np.where(emotion == CLASSES[0], CLASSES[1], CLASSES[0])
    table = answers(speakers=1, each=2 * n).assign(
        emotion=emotion, predicted=np.where(right, emotion, other)
    )
    (found,) = [s for s in slices(table, **OPTIONS) if s.by == "speaker"]
    low, high = found.uar_ci95
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(p * (1 - p) / (2 * n)), rel=0.15)


def test_the_interval_of_uar_is_the_one_that_leads() -> None:
    table = answers()
    found = intervals(table, **OPTIONS)
    assert found["uar"] == pytest.approx(metrics.uar_interval(table, **OPTIONS))
    values = metrics.scores(table, **OPTIONS)
    for name in ("accuracy", "precision_macro", "recall_macro", "f1_macro"):
        low, high = found[name]
        assert low <= values[name] <= high
    for emotion in CLASSES:
        low, high = found[f"recall_{emotion}"]
        assert low <= values["per_class"][emotion]["recall"] <= high


def test_resampled_scores_are_those_of_the_resampled_table() -> None:
    """Of two speakers, a resample is one of three tables: each score is computed on these."""
    table = answers(speakers=2).assign(covered=True, candidates=2)
    found = intervals(table, resamples=4000, seed=7)
    first, second = (table[table["speaker"] == s] for s in ("c/00", "c/01"))
    tables = [pd.concat(pair) for pair in ((first, first), (first, second), (second, second))]
    precisions = [
        precision_score(t["emotion"], t["predicted"], average="macro", zero_division=0)
        for t in tables
    ]
    eces = [metrics.expected_calibration_error(t) for t in tables]
    assert found["precision_macro"] == pytest.approx([min(precisions), max(precisions)])
    assert found["ece"] == pytest.approx([min(eces), max(eces)])
    assert found["coverage"] == [1.0, 1.0]
    assert found["set_size"] == [2.0, 2.0]


def test_one_speaker_has_no_interval_over_speakers() -> None:
    assert intervals(answers(speakers=1), **OPTIONS) == {}


def test_bins_of_the_reliability_diagram_make_the_calibration_error() -> None:
    table = answers()
    bins = metrics.reliability(table)
    assert sum(b["utterances"] for b in bins) == len(table)
    ece = sum(b["utterances"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / len(table)
    assert ece == pytest.approx(metrics.expected_calibration_error(table))


def test_the_surest_wrong_answers_lead_and_no_voice_fills_the_list() -> None:
    table = answers()
    found = mistakes(table, each=5)
    confident = [m for m in found if m.kind == "confident"]
    worst = [m for m in found if m.kind == "worst"]
    assert (len(confident), len(worst)) == (5, 5)
    assert all(m.emotion != m.predicted for m in found)
    wrong = table[table["emotion"] != table["predicted"]]
    surest = wrong[[f"p_{c}" for c in CLASSES]].max(axis=1).max()
    assert confident[0].confidence == pytest.approx(surest)
    assert len({m.file for m in found}) == 10
    many = mistakes(table, each=40)
    counts = pd.Series([m.speaker for m in many if m.kind == "confident"]).value_counts()
    assert counts.max() == OF_ONE_SPEAKER
    right = table.assign(predicted=table["emotion"])
    assert mistakes(right, each=5) == []


def test_an_emotion_that_the_model_lacks_has_no_posterior() -> None:
    table = answers(speakers=1, each=3).assign(emotion="fear")
    assert {m.p_true for m in mistakes(table, each=3)} == {0.0}


def test_facts_of_the_folds_are_joined_by_utterance() -> None:
    table = answers()
    facts = table[["file", "start", "end", "intensity", "sentence", "duration"]]
    bare = table.drop(columns=["intensity", "sentence", "duration"])
    joined = with_facts(bare, facts.iloc[::-1])
    pd.testing.assert_frame_equal(joined[table.columns], table)
