"""Shares of time and frequency: they add up, find what was planted, and depend on the weights."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from ser.bundle import Bundle
from ser.explanation.attribution.background import average_log_mel
from ser.explanation.attribution.networks import attribute, network_of
from ser.explanation.attribution.parts import Question, log_odds, parts_of
from ser.explanation.attribution.spectrogram import Spectrogram, centres_hz
from ser.models.base import EmotionModel, Fitting, Inputs
from ser.models.build import build_model, model_from_files
from ser.params import FeatureParams, ModelParams, TrainParams
from support.cues import CLASSES, CUES, N_MELS, Loudest, with_log_mels

QUESTION = Question(2, 1, CLASSES)
PARAMS = ModelParams(name="cnn", cnn={"channels": 4, "width": 12, "dropout": 0.1})
TRAIN = TrainParams(max_epochs=12, batch_size=8, learning_rate=0.01, average=0.8)


def bundle_of(model: EmotionModel) -> Bundle:
    return Bundle("cnn", model, FeatureParams(n_mels=N_MELS, n_mfcc=8))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "enrolled"])
def bundle(request):
    model = build_model(PARAMS, TRAIN, classes=CLASSES)
    model.fit(with_log_mels(), with_log_mels(18, seed=1), Fitting(3, enrolled=request.param))
    # As it is served: without torch.
    return bundle_of(model_from_files("cnn", model.to_files()))


@pytest.fixture(scope="module")
def angry():
    return with_log_mels(12, seed=5).inputs.log_mel[2].astype(np.float32)


def shares(bundle, x):
    (part,) = parts_of(bundle)
    return attribute(part, x, QUESTION, baseline=average_log_mel(bundle, x))


def test_gradients_add_up_to_the_difference_of_the_log_odds(bundle, angry):
    found = shares(bundle, angry)
    assert found.method == "integrated gradients"
    assert found.error < 0.02 * max(abs(found.odds - found.usual), 1)
    posteriors = bundle.posteriors(Inputs(log_mel=[angry]))[0]
    assert found.odds == pytest.approx(np.log(posteriors[2] / posteriors[1]))


def test_a_recording_of_several_windows_is_explained_whole(bundle, angry):
    long = np.concatenate([angry] * 20)
    assert len(long) > 600
    found = shares(bundle, long)
    assert found.values.shape == long.shape
    assert found.error < 0.02 * max(abs(found.odds - found.usual), 1)


def test_the_planted_mels_have_the_largest_share_and_little_once_they_are_masked(bundle, angry):
    cue = CUES["anger"]
    before = shares(bundle, angry).values.sum(axis=0)
    # Convolutions reach one mel farther than what they find.
    near = slice(cue.start - 1, cue.stop + 1)
    assert before[near].sum() > 0.6 * np.abs(before).sum()
    masked = angry.copy()
    half = len(angry) // 2
    masked[half:, cue] = masked[:half, cue].mean()
    after = shares(bundle, masked).values.sum(axis=0)
    assert abs(after[near].sum()) < 0.35 * before[near].sum()


def test_random_weights_give_another_map(bundle, angry):
    """Sanity check of Adebayo et al. (2018): a map of the input alone would stay."""
    model = model_from_files("cnn", bundle.model.to_files())
    network = network_of(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=generator)]
                         .view_as(weight))  # fmt: skip
    model.network = network
    before, after = shares(bundle, angry).values, shares(bundle_of(model), angry).values
    assert abs(spearmanr(before.ravel(), after.ravel()).statistic) < 0.4
    assert spearmanr(before.ravel(), shares(bundle, angry).values.ravel()).statistic > 0.999


def test_any_other_model_on_log_mels_is_explained_by_occlusion(angry):
    found = shares(bundle_of(Loudest()), angry)
    assert found.method == "occlusion"
    by_patch = found.values.sum(axis=0)
    # Patches are of eight mels: the second holds the cue.
    assert by_patch[8:].sum() > 2 * abs(by_patch[:8].sum())


def test_the_network_in_torch_answers_as_the_one_that_serves(bundle, angry):
    network = network_of(bundle.model)
    (part,) = parts_of(bundle)
    served = log_odds(part, Inputs(log_mel=[angry]), QUESTION)
    embedded = bundle.model.embed(Inputs(log_mel=[angry]))
    assert np.allclose(network.embed_all([angry]), embedded, atol=1e-4)
    assert np.isfinite(served).all()


def test_regions_add_up_to_all_shares_and_name_where_they_lie():
    values = np.zeros((100, 64))
    features = FeatureParams()
    hertz = centres_hz(features, 64)
    mel = int(np.searchsorted(hertz, 1500))
    values[45, mel] = 2.0
    values[:, 3] += 0.001
    found = Spectrogram(values, values, 0.3, 0.01, hertz, "").regions()
    assert sum(region.value for region in found) == pytest.approx(values.sum())
    first = found[0]
    assert first.start <= 0.3 + 0.45 < first.end
    assert (first.low_hz, first.high_hz) == (1000, 2000)
    assert {(region.low_hz, region.high_hz) for region in found} == {
        (0, 500), (500, 1000), (1000, 2000), (2000, 4000), (4000, 8000)
    }  # fmt: skip


def test_mels_of_both_scales_rise_to_the_top():
    for scale in ("ser", "byol_s"):
        hertz = centres_hz(FeatureParams(log_mel=scale), 64)
        assert (np.diff(hertz) > 0).all()
        assert 7000 < hertz[-1] < 8000
