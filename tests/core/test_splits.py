import numpy as np
import pandas as pd
import pytest

from ser.core.splits import RAVDESS_FOLDS, assign, check_disjoint
from ser.core.tables import speaker_ids, split_sha256
from ser.errors import LeakageError, ParamsError

EMOTIONS = ("neutral", "happiness", "sadness", "anger")
OPTIONS = {"fold": 1, "test_fraction": 0.3, "dev_fraction": 0.2, "seed": 1}


def manifest(speakers: int = 24, corpus: str = "ravdess", takes: int = 3) -> pd.DataFrame:
    rows = [
        (f"{corpus}/{s:02d}-{e}-{t}.wav", f"{s:02d}", ("female", "male")[s % 2], e)
        for s in range(1, speakers + 1)
        for e in EMOTIONS
        for t in range(takes)
    ]
    table = pd.DataFrame(rows, columns=["file", "speaker", "sex", "emotion"])
    return table.assign(
        corpus=corpus,
        start=0.0,
        end=1.0,
        duration=1.0,
        intensity="normal",
        sentence="a",
        sha256=table["file"],
    )


@pytest.mark.parametrize("protocol", ["holdout", "leave-one-speaker-out", *RAVDESS_FOLDS])
@pytest.mark.parametrize("fold", [1, 2, 5])
def test_no_speaker_crosses_splits(protocol, fold):
    folds = assign(manifest(), protocol=protocol, **OPTIONS | {"fold": fold})
    assert folds.groupby(speaker_ids(folds))["split"].nunique().eq(1).all()
    assert set(folds["split"]) == {"train", "dev", "test"}
    assert (folds["fold"] == fold).all()


@pytest.mark.parametrize("protocol", RAVDESS_FOLDS)
def test_published_folds_test_every_actor_once(protocol):
    tested = [actor for fold in RAVDESS_FOLDS[protocol] for actor in fold]
    assert sorted(tested) == list(range(1, 25))


def test_a_published_fold_tests_its_actors():
    folds = assign(manifest(), protocol="ravdess-luna5", **OPTIONS)
    test = folds.loc[folds["split"] == "test", "speaker"].unique()
    assert sorted(test) == ["02", "05", "14", "15", "16"]


def test_holdout_takes_both_sexes_into_test_and_dev():
    folds = assign(manifest(), protocol="holdout", **OPTIONS)
    for split in ("dev", "test"):
        counts = folds[folds["split"] == split].groupby("sex")["speaker"].nunique()
        assert abs(counts["female"] - counts["male"]) <= 1


def test_holdout_prefers_the_draw_with_the_corpus_s_label_balance():
    table = manifest(12)
    # Half of the speakers utter almost only anger: a fair test set takes both kinds.
    one_sided = (table["speaker"].astype(int) % 4 < 2) & (table["emotion"] != "anger")
    table = table[~one_sided | table["file"].str.endswith("0.wav")].reset_index(drop=True)
    overall = (table["emotion"] == "anger").mean()
    for seed in range(5):
        folds = assign(table, protocol="holdout", **OPTIONS | {"seed": seed})
        test = folds[folds["split"] == "test"]
        assert (test["emotion"] == "anger").mean() == pytest.approx(overall, abs=0.08)


def test_same_seed_same_split_and_another_fold_another():
    first, again = (assign(manifest(), protocol="holdout", **OPTIONS) for _ in range(2))
    other = assign(manifest(), protocol="holdout", **OPTIONS | {"fold": 2})
    assert split_sha256(first) == split_sha256(again) != split_sha256(other)


def test_split_hash_ignores_row_order_but_not_labels():
    folds = assign(manifest(), protocol="holdout", **OPTIONS)
    shuffled = folds.sample(frac=1, random_state=3)
    relabelled = folds.assign(emotion=np.roll(folds["emotion"].to_numpy(), 1))
    assert split_sha256(folds) == split_sha256(shuffled) != split_sha256(relabelled)


def test_speakers_of_two_corpora_with_one_number_are_two_people():
    table = pd.concat([manifest(6, "ravdess"), manifest(6, "synthetic")], ignore_index=True)
    folds = assign(table, protocol="leave-one-speaker-out", **OPTIONS)
    assert speaker_ids(folds[folds["split"] == "test"]).unique() == ["ravdess/01"]


def test_a_speaker_in_two_splits_is_refused():
    folds = assign(manifest(), protocol="holdout", **OPTIONS)
    folds.loc[folds.index[folds["split"] == "test"][0], "split"] = "train"
    with pytest.raises(LeakageError, match=r"ravdess/\d\d stands in train and test"):
        check_disjoint(folds)


def test_one_recording_under_two_names_in_two_splits_is_refused():
    table = manifest()
    table.loc[table["speaker"] == "02", "sha256"] = table.loc[
        table["speaker"] == "01", "sha256"
    ].to_numpy()
    with pytest.raises(LeakageError, match=r"ravdess/01-.* \(.*\) and ravdess/02-"):
        assign(table, protocol="leave-one-speaker-out", **OPTIONS)


@pytest.mark.parametrize(
    ("changes", "table", "message"),
    [
        ({"protocol": "ravdess-luna5", "fold": 6}, manifest(), "has folds 1 to 5"),
        ({"protocol": "leave-one-speaker-out", "fold": 25}, manifest(), "has folds 1 to 24"),
        ({"protocol": "ravdess-luna5"}, manifest(23), "lacks 24"),
        ({"protocol": "ravdess-emobox6"}, manifest(corpus="tess"), "defined for ravdess alone"),
        ({"protocol": "holdout"}, manifest(2), "at least 2 are needed"),
        ({"protocol": "random"}, manifest(), "known are holdout"),
    ],
)
def test_a_protocol_that_does_not_fit_says_why(changes, table, message):
    with pytest.raises(ParamsError, match=message):
        assign(table, **OPTIONS | changes)


def test_an_emotion_that_only_the_test_speaker_utters_is_refused():
    table = manifest(6)
    table.loc[table["speaker"] == "01", "emotion"] = "fear"
    with pytest.raises(ParamsError, match="fear occurs in test"):
        assign(table, protocol="leave-one-speaker-out", **OPTIONS)
