import numpy as np
import pandas as pd
import pytest

from ser.core.splits.assign import assign, shares_dev_speakers
from ser.core.utterance.tables import split_sha256
from ser.errors import ParamsError
from ser.params.protocols import PUBLISHED

EMOTIONS = ("neutral", "happiness", "sadness", "anger")
OPTIONS = {"fold": 1, "folds": 5, "test_fraction": 0.3, "dev_fraction": 0.2, "seed": 1}


def manifest(speakers: int = 24, corpus: str = "ravdess", takes: int = 3) -> pd.DataFrame:
    rows = [
        (f"{corpus}/{s:02d}-{e}-{t}.wav", f"{corpus}/{s:02d}", ("female", "male")[s % 2], e)
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


def published_manifest(protocol: str) -> pd.DataFrame:
    """Every speaker of a published protocol says four emotions in ten sentences."""
    rows = [
        (f"{speaker}-{emotion}-{sentence}.wav", speaker, emotion, f"s{sentence}")
        for speaker in sorted(PUBLISHED[protocol].speakers)
        for emotion in EMOTIONS
        for sentence in range(10)
    ]
    table = pd.DataFrame(rows, columns=["file", "speaker", "emotion", "sentence"])
    sex = np.where(table["speaker"].str[-1].isin(["F", "0", "2", "4"]), "female", "male")
    return table.assign(corpus=PUBLISHED[protocol].people, sex=sex, sha256=table["file"])


def manifest_for(protocol: str) -> pd.DataFrame:
    return published_manifest(protocol) if protocol in PUBLISHED else manifest()


@pytest.mark.parametrize(
    "protocol", ["holdout", "grouped-kfold", "leave-one-speaker-out", *PUBLISHED]
)
@pytest.mark.parametrize("fold", [1, 2])
def test_no_test_speaker_is_heard_in_train_or_dev(protocol, fold):
    folds = assign(manifest_for(protocol), protocol=protocol, **OPTIONS | {"fold": fold})
    apart = folds["split"]
    if shares_dev_speakers(protocol):
        apart = apart.replace({"dev": "train"})
    assert apart.groupby(folds["speaker"]).nunique().eq(1).all()
    assert set(folds["split"]) == {"train", "dev", "test"}
    assert (folds["fold"] == fold).all()


@pytest.mark.parametrize("protocol", PUBLISHED)
def test_published_folds_test_every_speaker_once(protocol):
    tested = [speaker for fold in PUBLISHED[protocol].folds for speaker in fold]
    assert len(tested) == len(set(tested))
    sizes = {"ravdess": 24, "cremad": 91, "emodb": 10, "savee": 4, "tess": 2, "iemocap": 10}
    assert len(tested) == sizes[PUBLISHED[protocol].people]


def test_crema_d_chooses_on_the_next_block_of_actors():
    folds = assign(published_manifest("cremad-blocks5"), protocol="cremad-blocks5", **OPTIONS)
    by_split = folds.groupby("split")["speaker"].agg(["min", "max"])
    assert by_split.loc["test"].tolist() == ["cremad/1001", "cremad/1018"]
    assert by_split.loc["dev"].tolist() == ["cremad/1019", "cremad/1036"]
    last = assign(
        published_manifest("cremad-blocks5"), protocol="cremad-blocks5", **OPTIONS | {"fold": 5}
    )
    assert last.loc[last["split"] == "dev", "speaker"].min() == "cremad/1001"


def test_tess_is_chosen_on_words_that_are_not_trained_on():
    folds = assign(published_manifest("tess-cross"), protocol="tess-cross", **OPTIONS)
    assert set(folds.loc[folds["split"] == "test", "speaker"]) == {"tess/YAF"}
    words = {split: set(part["sentence"]) for split, part in folds.groupby("split")}
    assert words["train"].isdisjoint(words["dev"])


def test_iemocap_leaves_out_both_speakers_of_a_session():
    folds = assign(
        published_manifest("iemocap-leave-one-session-out"),
        protocol="iemocap-leave-one-session-out",
        **OPTIONS,
    )
    test = set(folds.loc[folds["split"] == "test", "speaker"])
    assert test == {"iemocap/Ses01F", "iemocap/Ses01M"}


def test_songs_of_ravdess_s_actors_follow_their_speech():
    songs = manifest().assign(corpus="ravdess-song", file=lambda t: "song/" + t["file"])
    both = pd.concat([manifest(), songs], ignore_index=True)
    folds = assign(both, protocol="ravdess-luna5", **OPTIONS)
    assert folds.groupby("speaker")["split"].nunique().eq(1).all()
    assert (folds["split"] == "test").sum() == 2 * 5 * len(EMOTIONS) * 3


def test_the_folds_of_grouped_kfold_test_every_speaker_once():
    tested = [
        set(folds.loc[folds["split"] == "test", "speaker"])
        for fold in range(1, 6)
        for folds in [assign(manifest(), protocol="grouped-kfold", **OPTIONS | {"fold": fold})]
    ]
    assert sorted(speaker for group in tested for speaker in group) == sorted(
        manifest()["speaker"].unique()
    )
    assert {len(group) for group in tested} == {4, 5}


def test_a_published_fold_tests_its_actors():
    folds = assign(manifest(), protocol="ravdess-luna5", **OPTIONS)
    test = folds.loc[folds["split"] == "test", "speaker"].unique()
    assert sorted(test) == [f"ravdess/{actor}" for actor in ("02", "05", "14", "15", "16")]


def test_holdout_takes_both_sexes_into_test_and_dev():
    folds = assign(manifest(), protocol="holdout", **OPTIONS)
    for split in ("dev", "test"):
        counts = folds[folds["split"] == split].groupby("sex")["speaker"].nunique()
        assert abs(counts["female"] - counts["male"]) <= 1


def test_holdout_prefers_the_draw_with_the_corpus_s_label_balance():
    table = manifest(12)
    # Half of the speakers utter almost only anger: a fair test set takes both kinds.
    one_sided = (table["speaker"].str[-2:].astype(int) % 4 < 2) & (table["emotion"] != "anger")
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
    assert folds.loc[folds["split"] == "test", "speaker"].unique() == ["ravdess/01"]


@pytest.mark.parametrize(
    ("changes", "table", "message"),
    [
        ({"protocol": "ravdess-luna5", "fold": 6}, manifest(), "has folds 1 to 5"),
        ({"protocol": "leave-one-speaker-out", "fold": 25}, manifest(), "has folds 1 to 24"),
        ({"protocol": "ravdess-luna5"}, manifest(23), "lacks 24"),
        ({"protocol": "ravdess-emobox6"}, manifest(corpus="tess"), "defined for ravdess alone"),
        ({"protocol": "holdout"}, manifest(2), "at least 2 are needed"),
        ({"protocol": "holdout"}, manifest(1), "at least 2 are needed"),
        ({"protocol": "random"}, manifest(), "known are holdout"),
        ({"protocol": "grouped-kfold", "folds": 30}, manifest(), "there are 24 speakers"),
        ({"protocol": "cremad-blocks5"}, manifest(), "defined for cremad alone"),
    ],
)
def test_a_protocol_that_does_not_fit_says_why(changes, table, message):
    with pytest.raises(ParamsError, match=message):
        assign(table, **OPTIONS | changes)


def test_an_emotion_that_only_the_test_speaker_utters_is_refused():
    table = manifest(6)
    table.loc[table["speaker"] == "ravdess/01", "emotion"] = "fear"
    with pytest.raises(ParamsError, match="fear occurs in test"):
        assign(table, protocol="leave-one-speaker-out", **OPTIONS)
