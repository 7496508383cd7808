import numpy as np
import pandas as pd
import pytest

from ser.core.utterance.emotions import EMOTIONS, classes_of
from ser.core.utterance.tables import MANIFEST, check_folds, check_manifest, predictions_table
from ser.errors import TableError, UnknownEmotion

ROW = {
    "file": "a.wav",
    "start": 0.0,
    "end": 1.0,
    "whole": True,
    "corpus": "ravdess",
    "speaker": "ravdess/01",
    "sex": "male",
    "emotion": "anger",
    "intensity": "normal",
    "sentence": "kids",
    "duration": 1.0,
    "sha256": "0",
    "audio_sha256": "1",
    "fingerprint": None,
}


def test_a_whole_manifest_passes():
    check_manifest(pd.DataFrame([ROW]))


@pytest.mark.parametrize("column", MANIFEST)
def test_a_missing_column_is_named(column):
    with pytest.raises(TableError, match=f"lacks {column}"):
        check_manifest(pd.DataFrame([ROW]).drop(columns=column))


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([], TableError, "has no rows"),
        ([ROW, ROW], TableError, "lists a.wav more than once"),
        ([ROW | {"emotion": "angry"}], UnknownEmotion, "'angry'; known are neutral"),
        ([ROW | {"duration": 0.0}], TableError, "a.wav has no duration"),
    ],
)
def test_a_manifest_that_lies_is_refused(rows, error, message):
    with pytest.raises(error, match=message):
        check_manifest(pd.DataFrame(rows, columns=list(MANIFEST)))


def test_an_unknown_split_is_refused():
    with pytest.raises(TableError, match="'validation'; known are train, dev, test"):
        check_folds(pd.DataFrame([ROW | {"split": "validation", "fold": 1}]))


def test_classes_keep_the_canonical_order():
    assert classes_of(["surprise", "anger", "neutral", "anger"]) == ("neutral", "anger", "surprise")
    assert classes_of(EMOTIONS) == EMOTIONS


def test_the_predicted_emotion_has_the_largest_posterior():
    utterances = pd.DataFrame([ROW | {"split": "test"}, ROW | {"split": "test", "file": "b.wav"}])
    table = predictions_table(
        utterances, np.array([[0.2, 0.8], [0.6, 0.4]]), classes=("neutral", "anger")
    )
    assert list(table["predicted"]) == ["anger", "neutral"]
    assert list(table["p_anger"]) == [0.8, 0.4]


@pytest.mark.parametrize("other", ["Jose\u0301", "josé", "José "])
def test_a_manifest_with_one_person_under_two_names_is_refused(other):
    rows = [{**ROW, "speaker": "calls/José"}, {**ROW, "file": "b", "speaker": f"calls/{other}"}]
    table = pd.DataFrame(rows)
    with pytest.raises(TableError, match=r"of calls differ by spelling alone.*ser corpus remove"):
        check_manifest(table)


def test_people_of_two_corpora_may_have_one_name():
    rows = [{**ROW, "speaker": "calls/a"}, {**ROW, "file": "b", "speaker": "calls-2/A"}]
    check_manifest(pd.DataFrame(rows))
