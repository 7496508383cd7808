import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from ser.core.scores import metrics

CLASSES = ("neutral", "happiness", "anger")


@pytest.fixture
def predictions() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    posteriors = rng.dirichlet([0.7, 0.7, 0.7], size=n)
    emotion = np.where(
        rng.random(n) < 0.6,
        np.asarray(CLASSES)[posteriors.argmax(axis=1)],
        rng.choice(CLASSES, size=n, p=[0.6, 0.3, 0.1]),
    )
    table = pd.DataFrame(posteriors, columns=[f"p_{e}" for e in CLASSES])
    return table.assign(
        corpus="synthetic",
        file=[f"{i}.wav" for i in range(n)],
        start=0.0,
        end=1.0,
        speaker=rng.choice(["a", "b", "c", "d", "e"], size=n),
        sex=rng.choice(["female", "male"], size=n),
        split="test",
        emotion=emotion,
        predicted=np.asarray(CLASSES)[posteriors.argmax(axis=1)],
    )


def test_scores_equal_scikit_learn(predictions):
    actual, predicted = predictions["emotion"], predictions["predicted"]
    scores = metrics.scores(predictions, resamples=200, seed=0)
    macro = {"average": "macro"}
    assert scores["uar"] == pytest.approx(reference.balanced_accuracy_score(actual, predicted))
    assert scores["recall_macro"] == scores["uar"] == pytest.approx(metrics.uar(predictions))
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(actual, predicted))
    precision = reference.precision_score(actual, predicted, **macro)
    assert scores["precision_macro"] == pytest.approx(precision)
    assert scores["f1_macro"] == pytest.approx(reference.f1_score(actual, predicted, **macro))
    assert scores["chance"] == pytest.approx(1 / 3)


def test_confusion_equals_scikit_learn(predictions):
    ours = metrics.confusion(predictions)
    theirs = reference.confusion_matrix(
        predictions["emotion"], predictions["predicted"], labels=list(CLASSES)
    )
    assert list(ours.index) == list(ours.columns) == list(CLASSES)
    np.testing.assert_array_equal(ours, theirs)


def test_interval_equals_a_bootstrap_that_copies_speakers_rows(predictions):
    """The slow road: draw speakers, concatenate their rows, score with scikit-learn."""
    low, high = metrics.uar_interval(predictions, resamples=2000, seed=1)
    rng = np.random.default_rng(2)
    parts = dict(list(predictions.groupby("speaker")))
    slow = []
    for _ in range(500):
        rows = pd.concat([parts[s] for s in rng.choice(sorted(parts), size=len(parts))])
        slow.append(reference.balanced_accuracy_score(rows["emotion"], rows["predicted"]))
    assert [low, high] == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.01)
    assert low < metrics.uar(predictions) < high


def test_speakers_who_differ_widen_the_interval(predictions):
    right = predictions["emotion"]
    even = predictions.assign(predicted=right)
    uneven = predictions.assign(predicted=right.where(predictions["speaker"] < "c", "neutral"))
    width = [np.ptp(metrics.uar_interval(t, resamples=500, seed=0)) for t in (even, uneven)]
    assert width[0] == 0
    assert width[1] > 0.1


def test_one_speaker_has_no_interval(predictions):
    alone = predictions[predictions["speaker"] == "a"]
    assert metrics.uar_interval(alone, resamples=200, seed=0) is None


def test_emotions_that_few_speakers_utter_leave_no_interval(predictions):
    """Each speaker utters an emotion of his or her own: hardly a resample holds them all."""
    names = dict(
        zip(
            sorted(predictions["speaker"].unique()),
            ("neutral", "anger", "fear", "calm"),
            strict=False,
        )
    )
    rows = predictions[predictions["speaker"].isin(names)]
    own = rows.assign(emotion=rows["speaker"].map(names))
    assert own["speaker"].nunique() >= 3
    assert metrics.uar_interval(own, resamples=500, seed=0) is None


def test_calibration_error_is_the_gap_between_confidence_and_accuracy(predictions):
    sure = predictions.assign(p_neutral=0.9, p_happiness=0.05, p_anger=0.05, predicted="neutral")
    share = (sure["emotion"] == "neutral").mean()
    assert metrics.expected_calibration_error(sure) == pytest.approx(abs(0.9 - share))


def test_a_class_that_is_predicted_but_never_uttered_lowers_no_recall(predictions):
    heard = predictions[predictions["emotion"] != "anger"]
    scores = metrics.scores(heard, resamples=200, seed=0)
    assert set(scores["per_class"]) == {"neutral", "happiness"}
    assert scores["chance"] == 0.5
    assert scores["uar"] == pytest.approx(metrics.uar(heard))


def test_an_emotion_of_few_speakers_does_not_leave_the_interval():
    """One speaker of ten is afraid, and never recognised: no resample may forget that."""
    rows = [
        {"speaker": f"s{i}", "emotion": emotion, "predicted": emotion}
        for i in range(10)
        for emotion in ("anger", "sadness")
    ]
    rows += [{"speaker": "s0", "emotion": "fear", "predicted": "anger"}]
    table = pd.DataFrame(rows)
    low, high = metrics.uar_interval(table, resamples=500, seed=0)
    assert low == high == pytest.approx(metrics.uar(table)) == pytest.approx(2 / 3)


def test_an_emotion_that_nobody_tested_utters_is_said_beside_the_score(predictions):
    uttered = predictions[predictions["emotion"] != "anger"]
    scores = metrics.scores(uttered, resamples=50, seed=0)
    assert (scores["emotions"], scores["emotions_missing"]) == (2, ["anger"])
    assert scores["chance"] == pytest.approx(1 / 2)
    assert metrics.emotions_text(scores) == "2 of 3 emotions (nobody tested utters anger)"
    whole = metrics.scores(predictions, resamples=50, seed=0)
    assert whole["emotions_missing"] == []
    assert metrics.emotions_text(whole) == "3 emotions"


def test_speakers_of_unknown_sex_are_in_no_score_by_sex(predictions):
    some = predictions.assign(sex=predictions["sex"].replace("male", "unknown"))
    assert set(metrics.scores(some, resamples=50, seed=0)["uar_by_sex"]) == {"female"}
    none = predictions.assign(sex="unknown")
    assert metrics.scores(none, resamples=50, seed=0)["uar_by_sex"] == {}
