import numpy as np
import pandas as pd
import pytest

from ser.core.fingerprint import LENGTH, fingerprint
from ser.core.leakage import audit, check, copies_of, sentence_overlap, warnings
from ser.core.tables import split_sha256
from ser.errors import LeakageError
from tests.core.signals import SR, voice


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
        emotion=["anger", "neutral"] * 6,
        sentence=[f"t{i}" for i in range(12)],
        sha256=[f"h{i}" for i in range(12)],
        audio_sha256=[f"a{i}" for i in range(12)],
    )


@pytest.fixture
def prints(folds) -> pd.Series:
    rng = np.random.default_rng(0)
    return pd.Series([rng.bytes(LENGTH) for _ in folds.index])


def test_splits_without_a_leak_pass_with_a_receipt(folds, prints):
    found = audit(folds, prints)
    check(found, folds)
    assert found.receipt == {
        "split_sha256": split_sha256(folds),
        "utterances": {"train": 6, "dev": 2, "test": 4},
        "speakers": {"train": 3, "dev": 1, "test": 2},
        "shared_speakers": 0,
        "dev_shares_speakers": False,
        "copies_across_splits": 0,
        "copies_within_splits": 0,
        "copies_with_another_label": 0,
        "recordings_across_splits": 0,
        "sentence_overlap": 0.0,
    }
    assert warnings(found) == []


def test_a_speaker_in_two_splits_is_refused(folds, prints):
    folds.loc[0, "split"] = "test"
    with pytest.raises(LeakageError, match="Speaker c/s0 stands in train and test"):
        check(audit(folds, prints), folds)


def test_train_and_dev_may_share_a_speaker_where_the_protocol_says_so_but_never_test(folds, prints):
    folds.loc[0, "split"] = "dev"
    found = audit(folds, prints, dev_shares_speakers=True)
    check(found, folds)
    assert "flattering" in warnings(found)[0]
    folds.loc[1, "split"] = "test"
    with pytest.raises(LeakageError, match="s0 stands in dev and test"):
        check(audit(folds, prints, dev_shares_speakers=True), folds)


@pytest.mark.parametrize(
    ("column", "words"),
    [("sha256", "are the same file"), ("audio_sha256", "hold the same samples")],
)
def test_one_recording_under_two_names_in_two_splits_is_refused(folds, prints, column, words):
    folds.loc[11, column] = folds.loc[0, column]
    with pytest.raises(LeakageError, match=rf"s0/0.wav \(train\) and s5/1.wav \(test\) {words}"):
        check(audit(folds, prints), folds)


def test_a_softer_copy_in_another_split_is_refused(folds, prints):
    y = voice(seconds=1.5)
    prints[0] = fingerprint(y, sr=SR)
    prints[11] = fingerprint((0.3 * np.pad(y, 2_000)).astype(np.float32), sr=SR)
    with pytest.raises(LeakageError, match=r"s5/1.wav \(test\) sound the same \(similarity"):
        check(audit(folds, prints), folds)


def test_copies_in_one_split_are_counted_and_not_refused(folds, prints):
    folds.loc[[1, 2], "sha256"] = "h0"
    found = audit(folds, prints)
    check(found, folds)
    assert found.receipt["copies_within_splits"] == 2
    assert found.receipt["copies_with_another_label"] == 1
    assert "2 recording(s) have a copy" in warnings(found)[0]


def test_each_pair_is_named_once_by_its_strongest_proof(folds, prints):
    folds.loc[1, ["sha256", "audio_sha256"]] = ["h0", "a0"]
    folds.loc[2, "audio_sha256"] = "a0"
    prints[1] = prints[2] = prints[0]
    found = copies_of(folds, prints)
    assert found[["a", "b", "kind"]].to_numpy().tolist() == [[0, 1, "bytes"], [0, 2, "samples"]]


def test_silence_is_no_copy_of_silence(folds, prints):
    prints[:] = None
    assert copies_of(folds, prints).empty


def test_sentences_that_are_trained_on_are_counted_within_their_corpus(folds):
    folds["sentence"] = "kids"
    assert sentence_overlap(folds) == 1.0
    folds.loc[folds["split"] == "test", "corpus"] = "other"
    assert sentence_overlap(folds) == 0.0
