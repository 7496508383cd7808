import numpy as np
import pandas as pd
import pytest

from ser.core.splits.fingerprint import LENGTH, fingerprint
from ser.core.splits.leakage import audit, check, copies_of, missing_emotions, warnings
from ser.core.utterance.sentences import sentence_overlap, sentence_text, sentence_unknown
from ser.core.utterance.tables import split_sha256
from ser.errors import LeakageError
from support.signals import SR, voice


@pytest.fixture
def folds() -> pd.DataFrame:
    """Six speakers, two recordings each, no two alike."""
    rows = [
        (f"s{s}/{i}.wav", f"c/s{s}", ("train", "train", "train", "dev", "test", "test")[s])
        for s in range(6)
        for i in range(2)
    ]
    table = pd.DataFrame(rows, columns=["file", "speaker", "split"])
    return table.assign(
        corpus="c",
        start=0.0,
        end=1.0,
        emotion=["anger", "neutral"] * 6,
        sentence=[f"t{i}" for i in range(12)],
        sha256=[f"h{i}" for i in range(12)],
        audio_sha256=[f"a{i}" for i in range(12)],
    )


@pytest.fixture
def prints(folds) -> pd.Series:
    rng = np.random.default_rng(0)
    return pd.Series([rng.bytes(LENGTH) for _ in folds.index])


def copies(folds: pd.DataFrame, prints: pd.Series, similarity: float = 0.9) -> pd.DataFrame:
    """The copies, where samples say of each candidate that it is one; NaN: that it is none."""
    return copies_of(folds, prints, compare=lambda pairs: np.full(len(pairs), similarity))


def test_splits_without_a_leak_pass_with_a_receipt(folds, prints):
    found = audit(folds, copies(folds, prints))
    check(found, folds)
    assert found.receipt == {
        "split_sha256": split_sha256(folds),
        "utterances": {"train": 6, "dev": 2, "test": 4},
        "speakers": {"train": 3, "dev": 1, "test": 2},
        "shared_speakers": 0,
        "dev_shares_speakers": False,
        "copies_across_splits": 0,
        "copies_within_splits": 0,
        "copies_under_two_speakers": 0,
        "copies_with_another_label": 0,
        "recordings_across_splits": 0,
        "sentence_overlap": 0.0,
        "sentence_unknown": 0.0,
        "emotions_missing": {"dev": [], "test": []},
    }
    assert warnings(found, folds) == []


def test_a_speaker_in_two_splits_is_refused(folds, prints):
    folds.loc[0, "split"] = "test"
    with pytest.raises(LeakageError, match="Speaker c/s0 stands in train and test"):
        check(audit(folds, copies(folds, prints)), folds)


def test_train_and_dev_may_share_a_speaker_where_the_protocol_says_so_but_never_test(folds, prints):
    folds.loc[0, "split"] = "dev"
    found = audit(folds, copies(folds, prints), dev_shares_speakers=True)
    check(found, folds)
    assert "dev scores are too high" in warnings(found, folds)[0]
    folds.loc[1, "split"] = "test"
    with pytest.raises(LeakageError, match="s0 stands in dev and test"):
        check(audit(folds, copies(folds, prints), dev_shares_speakers=True), folds)


@pytest.mark.parametrize(
    ("column", "words"),
    [("sha256", "are the same file"), ("audio_sha256", "hold the same samples")],
)
def test_one_recording_under_two_names_in_two_splits_is_refused(folds, prints, column, words):
    folds.loc[11, column] = folds.loc[0, column]
    with pytest.raises(LeakageError, match=rf"s0/0.wav \(train, .*s5/1.wav \(test, .* {words}"):
        check(audit(folds, copies(folds, prints)), folds)


def test_a_softer_copy_in_another_split_is_refused(folds, prints):
    y = voice(seconds=1.5)
    prints[0] = fingerprint(y, sr=SR)
    prints[11] = fingerprint((0.3 * np.pad(y, 2_000)).astype(np.float32), sr=SR)
    with pytest.raises(
        LeakageError, match=r"s5/1.wav \(test, speaker c/s5\) sound the same \(similarity"
    ):
        check(audit(folds, copies(folds, prints)), folds)


def test_candidates_that_are_two_recordings_by_their_samples_are_no_copies(folds, prints):
    prints[11] = prints[0]
    assert copies(folds, prints, similarity=float("nan")).empty
    assert copies(folds, prints)[["a", "b", "kind"]].to_numpy().tolist() == [[0, 11, "alike"]]


def test_copies_of_one_speaker_in_one_split_are_named_and_not_refused(folds, prints):
    folds.loc[1, "sha256"] = "h0"
    found = audit(folds, copies(folds, prints))
    check(found, folds)
    assert found.receipt["copies_within_splits"] == 1
    assert found.receipt["copies_with_another_label"] == 1
    line = "s0/0.wav (train) and s0/1.wav (train) are the same file"
    assert line in warnings(found, folds)[0]


def test_a_copy_under_two_speakers_is_refused_in_one_split_too(folds, prints):
    folds.loc[2, "sha256"] = "h0"
    folds.loc[2, "file"] = "data/raw/c/s1/copy of 0.wav"
    found = audit(folds, copies(folds, prints))
    assert found.receipt["copies_under_two_speakers"] == 1
    message = r"two speakers: s0/0.wav \(train, speaker c/s0\) and data/raw/c/s1/copy of 0.wav "
    with pytest.raises(LeakageError, match=message):
        check(found, folds)
    # Ready to be pasted; a deleted file would be missed by `ser corpus verify`.
    remedy = r'below data, put `exclude: \["c/s1/copy of 0\.wav"\]`; or correct the labels'
    with pytest.raises(LeakageError, match=remedy):
        check(found, folds)


def test_two_segments_of_one_file_are_no_copies(folds, prints):
    folds.loc[[0, 1], "sha256"] = "h"
    folds["whole"] = folds.index > 1
    folds.loc[1, ["start", "end"]] = [1.0, 2.0]
    prints[1] = prints[0]
    assert copies(folds, prints).empty


def test_each_pair_is_named_once_by_its_strongest_proof(folds, prints):
    folds.loc[1, ["sha256", "audio_sha256"]] = ["h0", "a0"]
    folds.loc[2, "audio_sha256"] = "a0"
    prints[1] = prints[2] = prints[0]
    found = copies(folds, prints)
    assert found[["a", "b", "kind"]].to_numpy().tolist() == [[0, 1, "bytes"], [0, 2, "samples"]]


def test_silence_is_no_copy_of_silence(folds, prints):
    prints[:] = None
    assert copies(folds, prints).empty


def test_sentences_that_are_trained_on_are_counted_within_their_corpus(folds):
    folds["sentence"] = "kids"
    assert sentence_overlap(folds) == 1.0
    folds.loc[folds["split"] == "test", "corpus"] = "other"
    assert sentence_overlap(folds) == 0.0


def test_an_unknown_sentence_is_no_sentence(folds, prints):
    folds["sentence"] = "unknown"
    assert (sentence_overlap(folds), sentence_unknown(folds)) == (None, 1.0)
    found = audit(folds, copies(folds, prints))
    assert found.receipt["sentence_overlap"] is None
    assert found.receipt["sentence_unknown"] == 1.0
    (line,) = warnings(found, folds)
    assert "unknown" in line
    assert "%" not in line


def test_of_partly_known_sentences_the_known_count(folds):
    folds.loc[::2, "sentence"] = "unknown"
    folds.loc[[1, 9], "sentence"] = "kids"
    assert sentence_overlap(folds) == 0.5
    assert sentence_unknown(folds) == 0.5
    text = sentence_text(0.5, sentence_unknown(folds))
    assert "50% of the test utterances whose sentence is known" in text
    assert "50% of the train and test sentences are unknown" in text


def test_sentences_that_only_train_or_only_test_names_cannot_be_compared(folds):
    folds.loc[folds["split"] == "train", "sentence"] = ""
    assert sentence_overlap(folds) is None


def test_an_emotion_that_nobody_in_test_or_dev_utters_is_named(folds, prints):
    folds.loc[0, "emotion"] = "fear"
    folds.loc[folds["split"] == "dev", "emotion"] = "anger"
    assert missing_emotions(folds) == {"dev": ["neutral", "fear"], "test": ["fear"]}
    said = warnings(audit(folds, copies(folds, prints)), folds)
    assert "no test speaker utters fear, which is trained on: test scores leave it out." in said
