"""Speakers who say very different amounts, several corpora, rare emotions."""

import numpy as np
import pandas as pd
import pytest

from ser.core.splits.assign import assign, share_warnings
from ser.core.utterance.tables import SPLITS, split_sha256

OPTIONS = {"fold": 1, "folds": 5, "test_fraction": 0.3, "dev_fraction": 0.2, "seed": 1}
ASKED = {"train": 0.56, "dev": 0.14, "test": 0.3}
EMOTIONS = ("neutral", "happiness", "sadness", "anger")


def said(amounts: list[int], corpus: str = "calls") -> pd.DataFrame:
    """So many utterances of each speaker, emotions in turn."""
    rows = [
        (f"{corpus}/{s}-{i}.wav", f"{corpus}/{s:02d}", ("female", "male")[s % 2], EMOTIONS[i % 4])
        for s, amount in enumerate(amounts)
        for i in range(amount)
    ]
    table = pd.DataFrame(rows, columns=["file", "speaker", "sex", "emotion"])
    return table.assign(corpus=corpus, sentence="unknown", sha256=table["file"])


def shares(folds: pd.DataFrame) -> dict[str, float]:
    return folds["split"].value_counts(normalize=True).reindex(list(SPLITS), fill_value=0).to_dict()


def warned(folds: pd.DataFrame, protocol: str = "holdout") -> list[str]:
    asked = {k: v for k, v in OPTIONS.items() if k.endswith("fraction")}
    return share_warnings(folds, protocol=protocol, folds_asked=5, **asked)


@pytest.mark.parametrize("seed", range(4))
def test_holdout_is_near_its_fractions_however_much_each_speaker_says(seed):
    # Three speakers say four fifths: of draws by number, most give test or dev one of them.
    table = said([600, 500, 450, *([40] * 12), *([15] * 6)])
    folds = assign(table, protocol="holdout", **OPTIONS | {"seed": seed})
    assert folds.groupby("speaker")["split"].nunique().eq(1).all()
    assert shares(folds) == pytest.approx(ASKED, abs=0.06)
    assert warned(folds) == []
    again = assign(table, protocol="holdout", **OPTIONS | {"seed": seed})
    assert split_sha256(folds) == split_sha256(again)


def test_each_corpus_gives_each_split_its_share():
    table = pd.concat([said([60] * 24, "a"), said([200] * 5, "b"), said([30, 30, 30, 30], "c")])
    folds = assign(table.reset_index(drop=True), protocol="holdout", **OPTIONS)
    for _, rows in folds.groupby("corpus"):
        assert min(shares(rows).values()) > 0
    assert shares(folds) == pytest.approx(ASKED, abs=0.08)


def test_each_emotion_is_in_each_split_where_enough_speakers_utter_it():
    for seed in range(4):
        table = said([20] * 12)
        for speaker in (0, 1, 2):
            first = table.index[table["speaker"] == f"calls/{speaker:02d}"][:6]
            table.loc[first, "emotion"] = "fear"
        folds = assign(table, protocol="holdout", **OPTIONS | {"seed": seed})
        assert set(folds.loc[folds["emotion"] == "fear", "split"]) == set(SPLITS)


def test_an_emotion_of_one_speaker_is_trained_on():
    table = said([20] * 12)
    table.loc[table["speaker"] == "calls/03", "emotion"] = "fear"
    for seed in range(4):
        folds = assign(table, protocol="holdout", **OPTIONS | {"seed": seed})
        assert set(folds.loc[folds["emotion"] == "fear", "split"]) == {"train"}


def test_the_folds_of_grouped_kfold_are_about_equally_large():
    table = said([300, 280, 260, *([40] * 20)])
    tested = []
    for fold in range(1, 6):
        folds = assign(table, protocol="grouped-kfold", **OPTIONS | {"fold": fold})
        tested += sorted(set(folds.loc[folds["split"] == "test", "speaker"]))
        assert shares(folds)["test"] == pytest.approx(0.2, abs=0.06)
        assert shares(folds)["dev"] == pytest.approx(0.16, abs=0.08)
    assert sorted(tested) == sorted(table["speaker"].unique())


def test_one_speaker_who_says_most_is_trained_on_and_warned_of():
    folds = assign(said([800, *([20] * 10)]), protocol="holdout", **OPTIONS)
    assert folds.loc[folds["speaker"] == "calls/00", "split"].unique() == ["train"]
    assert min(shares(folds).values()) > 0.03
    assert any("calls/00 alone has 80%" in line for line in warned(folds))


def test_a_corpus_of_two_speakers_gives_some_split_nothing_and_that_is_said():
    table = pd.concat([said([40] * 12, "a"), said([40, 40], "b")], ignore_index=True)
    folds = assign(table, protocol="holdout", **OPTIONS)
    assert any("b has too few speakers: none of them is in" in line for line in warned(folds))


def test_speakers_who_say_equally_much_are_drawn_as_ever():
    """Known answers: splits of balanced corpora do not change with the platform."""
    folds = assign(said([8] * 16), protocol="holdout", **OPTIONS)
    test = sorted(folds.loc[folds["split"] == "test", "speaker"].unique())
    dev = sorted(folds.loc[folds["split"] == "dev", "speaker"].unique())
    assert (len(test), len(dev)) == (5, 2)
    assert np.isclose(shares(folds)["test"], 5 / 16)
    assert warned(folds) == []
