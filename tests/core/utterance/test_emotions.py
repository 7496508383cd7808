import pandas as pd
import pytest

from ser.core.utterance.emotions import describe_selection, label_rule, select
from ser.errors import ParamsError

EMOTIONS = pd.Series(["neutral", "calm", "happiness", "excitement", "boredom", "anger", "anger"])


def test_all_keeps_every_label_as_it_is():
    assert select(EMOTIONS, label_rule("all", {})).equals(EMOTIONS)


def test_four_classes_take_excitement_for_happiness_and_drop_the_rest():
    chosen = select(EMOTIONS, label_rule("4-class", {}))
    assert chosen.dropna().tolist() == ["neutral", "happiness", "happiness", "anger", "anger"]


def test_what_is_merged_and_dropped_is_counted():
    chosen = select(EMOTIONS, label_rule("6-class", {"calm": "neutral"}))
    assert describe_selection(EMOTIONS, chosen) == {
        "merged": {"calm → neutral": 1},
        "dropped": {"excitement": 1, "boredom": 1},
    }


def test_a_list_of_emotions_is_a_label_set():
    chosen = select(EMOTIONS, label_rule(("anger", "calm"), {"boredom": "calm"}))
    assert chosen.dropna().tolist() == ["calm", "calm", "anger", "anger"]


@pytest.mark.parametrize(
    ("keep", "merge", "message"),
    [
        ("5-class", {}, "known are all, 4-class, 6-class"),
        (("angry",), {}, "names 'angry'"),
        ("anger", {}, "names anger; expected two emotions or more"),
        (("anger",), {}, "names anger; expected two emotions or more"),
        ("all", {"calm": "peace"}, "names 'peace'"),
        ("all", {"boredom": "calm", "calm": "neutral"}, "Give both the final emotion"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(keep, merge, message):
    with pytest.raises(ParamsError, match=message):
        label_rule(keep, merge)
