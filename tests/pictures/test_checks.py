"""Planted faults are found: swapped labels, a label that is always wrong, copies."""

import numpy as np
import pandas as pd
import pytest

from ser.core.corpus.distributions import NAMES
from ser.core.features.extract import audible, extract
from ser.corpora.synthetic.speak import speak, utterances
from ser.params import FeatureParams, SyntheticParams
from ser.pictures.checks import check, typicality
from ser.pictures.posteriors import out_of_sample
from support.signals import SR


@pytest.fixture(scope="module")
def corpus():
    """The embedded corpus, reduced: a table and functionals (n, d)."""
    rows, functionals = [], []
    for utterance in utterances(SyntheticParams(speakers=6, sentences=4), seed=7):
        speaker, _, emotion, _ = utterance.file.split("/")[-1].split("_")
        y = audible(speak(utterance, sr=SR), sr=SR, params=FeatureParams())
        functionals.append(extract(y, params=FeatureParams()).functionals.to_numpy())
        rows.append({"speaker": f"synthetic/{speaker}", "emotion": emotion})
    table = pd.DataFrame(rows).assign(corpus="synthetic", **dict.fromkeys(NAMES, 1.0))
    table["audio_sha256"] = table.index.astype(str)
    return table, np.stack(functionals)


def swapped(table: pd.DataFrame, share: float, *, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The table with that share of its labels replaced by others, and the rows' numbers."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(table), round(share * len(table)), replace=False)
    emotion = table["emotion"].to_numpy(str).copy()
    others = np.unique(emotion)
    emotion[rows] = [rng.choice(others[others != emotion[row]]) for row in rows]
    return table.assign(emotion=emotion), rows


@pytest.mark.parametrize("seed", range(3))
def test_swapped_labels_are_in_the_top_tenth(corpus, seed):
    table, functionals = corpus
    planted, rows = swapped(table, 0.05, seed=seed)
    found = check(planted, functionals, seed=7).mislabelled
    top = found.index[: round(0.1 * len(table))]
    assert np.isin(rows, top).mean() >= 0.7


def test_a_speaker_whose_label_is_always_wrong_is_found(corpus):
    table, functionals = corpus
    wrong = (table["speaker"] == table["speaker"].iloc[0]) & (table["emotion"] == "anger")
    planted = table.assign(emotion=table["emotion"].mask(wrong, "sadness"))
    found = check(planted, functionals, seed=7).mislabelled
    assert np.isin(np.flatnonzero(wrong), found.index[: round(0.1 * len(table))]).all()


def test_what_a_swapped_label_looks_like_is_the_true_one(corpus):
    table, functionals = corpus
    planted, rows = swapped(table, 0.05, seed=0)
    found = check(planted, functionals, seed=7).table.loc[rows]
    assert (found["looks_like"] == table["emotion"].loc[rows]).mean() >= 0.7


def test_copies_do_not_vouch_for_each_other(corpus):
    """Of a clip and its copy, both with the same wrong label, neither trains the other's model."""
    table, functionals = corpus
    victim = int(np.flatnonzero(table["emotion"] == "anger")[0])
    rows = [*range(len(table)), *[victim] * 4]
    planted = table.iloc[rows].reset_index(drop=True)
    same = [victim, *range(len(table), len(rows))]
    planted.loc[same, "emotion"] = "sadness"
    found = check(planted, functionals[rows], seed=7).table
    assert (found.loc[same, "looks_like"] == "anger").all()


def test_posteriors_are_those_of_models_without_the_clip(corpus):
    """With random labels there is nothing to know: models that knew the clips would be right."""
    table, functionals = corpus
    label = np.random.default_rng(0).permutation(table["emotion"].to_numpy(str))
    ids = table["audio_sha256"].to_numpy(str)
    found = out_of_sample(functionals, label, table["speaker"].to_numpy(str), ids, seed=7)
    assert np.allclose(found.posteriors.sum(axis=1), 1)
    right = np.asarray(found.classes)[found.posteriors.argmax(axis=1)] == label
    assert right.mean() < 0.4


def test_unlabelled_single_and_rare_labels_are_said_not_guessed(corpus):
    table, functionals = corpus
    unlabelled = check(table.assign(emotion="unknown"), functionals, seed=7)
    assert unlabelled.mislabelled.empty
    assert "found no labels" in unlabelled.notes[0]
    rare = table.assign(emotion=table["emotion"].mask(table.index == 3, "boredom"))
    found = check(rare, functionals, seed=7)
    assert any("label boredom" in note for note in found.notes)
    assert np.isnan(found.table.loc[3, "label_quality"])


def test_few_clips_have_no_typicality():
    assert np.isnan(typicality(np.ones((5, 3)))).all()
