import pandas as pd
import pytest

from ser.core.splits.across import across, common
from ser.core.utterance.emotions import LabelRule
from ser.errors import LeakageError, ParamsError


def corpus(name: str, speakers: int, emotions: str, people: str = "", takes: int = 2):
    rows = [
        (f"{name}/{s}-{emotion}-{take}.wav", name, f"{people or name}/{s}", "female", emotion)
        for s in range(speakers)
        for emotion in emotions.split()
        for take in range(takes)
    ]
    return pd.DataFrame(rows, columns=["file", "corpus", "speaker", "sex", "emotion"])


def both(*tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)


LARGE = corpus("large", 10, "neutral calm happiness anger disgust")
SMALL = corpus("small", 3, "neutral happiness anger boredom")


def split(table: pd.DataFrame, test: str, **options) -> pd.DataFrame:
    return across(table, test=test, **{"dev_fraction": 0.2, "seed": 1} | options)


def test_emotions_that_one_side_lacks_are_dropped_and_counted():
    found = common(both(LARGE, SMALL), train=["large"], test="small", rule=LabelRule())
    assert found.emotions == ("neutral", "happiness", "anger")
    assert set(found.table["emotion"]) == set(found.emotions)
    assert found.dropped == {"large": {"calm": 20, "disgust": 20}, "small": {"boredom": 6}}
    assert found.merged == {}


def test_merged_emotions_are_kept_under_the_common_name():
    rule = LabelRule(merge={"calm": "neutral", "boredom": "neutral"})
    found = common(both(LARGE, SMALL), train=["large"], test="small", rule=rule)
    assert found.merged == {"calm → neutral": 20, "boredom → neutral": 6}
    assert found.dropped == {"large": {"disgust": 20}}
    assert (found.table["emotion"] == "neutral").sum() == 20 + 20 + 6 + 6


def test_emotions_that_are_not_to_be_kept_are_counted_as_dropped():
    rule = LabelRule(keep=("neutral", "anger"))
    found = common(both(LARGE, SMALL), train=["large"], test="small", rule=rule)
    assert found.emotions == ("neutral", "anger")
    assert found.dropped["small"] == {"happiness": 6, "boredom": 6}


def test_other_corpora_of_the_manifest_take_no_part():
    table = both(LARGE, SMALL, corpus("other", 2, "boredom fear"))
    found = common(table, train=["large"], test="small", rule=LabelRule())
    assert set(found.table["corpus"]) == {"large", "small"}
    assert "other" not in found.dropped


def test_an_emotion_of_any_training_corpus_counts():
    table = both(LARGE, SMALL, corpus("bored", 2, "boredom anger"))
    found = common(table, train=["large", "bored"], test="small", rule=LabelRule())
    assert found.emotions == ("neutral", "happiness", "anger", "boredom")


@pytest.mark.parametrize(
    ("emotions", "words"),
    [
        ("anger fear", "have anger alone in common"),
        ("boredom fear", "have no emotion in common"),
    ],
)
def test_fewer_than_two_common_emotions_are_refused(emotions, words):
    table = both(LARGE, corpus("odd", 2, emotions))
    with pytest.raises(ParamsError, match=words) as caught:
        common(table, train=["large"], test="odd", rule=LabelRule())
    assert "--merge" in str(caught.value)
    assert "Trained on would be neutral, calm, happiness, anger, disgust" in str(caught.value)


def test_every_test_speaker_is_tested_and_dev_speakers_are_the_training_corpora_s():
    table = both(
        corpus("a", 10, "anger fear"), corpus("b", 4, "anger fear"), corpus("c", 3, "anger fear")
    )
    folds = split(table, "c")
    assert set(folds.loc[folds["split"] == "test", "corpus"]) == {"c"}
    assert set(folds.loc[folds["corpus"] == "c", "split"]) == {"test"}
    assert folds.groupby("speaker")["split"].nunique().eq(1).all()
    dev = folds[folds["split"] == "dev"]
    assert 0.1 < len(dev) / (folds["split"] != "test").sum() < 0.35
    assert folds["file"].tolist() == table["file"].tolist()


def test_a_speaker_of_both_sides_is_refused():
    song = corpus("song", 4, "anger fear", people="actors")
    with pytest.raises(LeakageError, match=r"Speaker actors/0 \(and 3 more\) speaks in speech and"):
        split(both(corpus("speech", 6, "anger fear", people="actors"), song), "song")


def test_one_training_speaker_is_too_few():
    with pytest.raises(ParamsError, match=r"have 1 speaker\(s\)"):
        split(both(corpus("one", 1, "anger fear"), SMALL), "small")


def test_one_test_speaker_is_enough():
    folds = split(both(corpus("a", 5, "anger fear"), corpus("one", 1, "anger fear")), "one")
    assert folds.loc[folds["split"] == "test", "speaker"].unique().tolist() == ["one/0"]


def test_an_emotion_of_dev_speakers_alone_is_refused():
    lonely = corpus("a", 2, "anger fear").assign(speaker=lambda t: "a/" + t["emotion"])
    with pytest.raises(ParamsError, match="Only dev speakers utter"):
        split(both(lonely, corpus("b", 2, "anger fear")), "b")
