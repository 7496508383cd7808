"""Shares of groups of functionals: they add up, and find what was planted."""

import numpy as np
import pytest

from ser.bundle import Bundle
from ser.core.uncertainty.calibration import Calibration, Calibrations
from ser.core.uncertainty.novelty import Novelty
from ser.errors import BundleError
from ser.explanation.attribution.background import drawn, novelty_shares, space_of
from ser.explanation.attribution.functionals import attribute, together
from ser.explanation.attribution.groups import group_of, groups_of
from ser.explanation.attribution.parts import Question, log_odds, parts_of
from ser.models.base import Fitting, Inputs
from ser.models.build import build_model
from ser.params import FeatureParams, ModelParams, TrainParams
from support.cues import CLASSES, NAMES, with_functionals

QUESTION = Question(2, 0, CLASSES)


def fitted(name: str, *, enrolled: bool = False) -> Bundle:
    train = with_functionals()
    params = ModelParams(name=name, random_forest={"trees": 20}, stack={"members": ("lda", "svc")})
    model = build_model(params, TrainParams(), classes=CLASSES)
    model.fit(train, with_functionals(30, seed=1), Fitting(3, enrolled=enrolled))
    return Bundle(
        name,
        model,
        FeatureParams(),
        Calibrations((0,), (Calibration(1.7),)),
        novelty=Novelty.of(train.inputs.functionals.to_numpy(), speaker=train.speaker),
    )


def explained(bundle: Bundle, functionals):
    space = space_of(bundle)
    options = {"background": drawn(space), "scale": space.scale}
    return together(
        [attribute(part, functionals, QUESTION, **options) for part in parts_of(bundle)]
    )


@pytest.fixture(scope="module")
def angry():
    return with_functionals(12, seed=5).inputs.functionals.iloc[2]


@pytest.mark.parametrize("name", ["lda", "logistic_regression", "svc", "random_forest", "stack"])
def test_the_shares_add_up_to_the_log_odds_of_the_answer(name, angry):
    bundle = fitted(name)
    found = explained(bundle, angry)
    posteriors = bundle.posteriors(Inputs(angry.to_frame().T))[0]
    assert found.odds == pytest.approx(np.log(posteriors[2] / posteriors[0]), abs=1e-6)


@pytest.mark.parametrize("enrolled", [False, True])
def test_an_enrolled_model_is_explained_for_an_unknown_speaker(enrolled, angry):
    bundle = fitted("logistic_regression", enrolled=enrolled)
    posteriors = bundle.posteriors(Inputs(angry.to_frame().T))[0]
    assert explained(bundle, angry).odds == pytest.approx(np.log(posteriors[2] / posteriors[0]))


def test_a_planted_cue_has_the_largest_share_and_none_once_it_is_masked(angry):
    bundle = fitted("lda")
    first, *others = explained(bundle, angry).groups
    assert (first.name, first.strongest) == ("F0", "f0_mean")
    assert first.value > 3 * max(abs(other.value) for other in others)
    masked = angry.astype(float)
    at = groups_of(NAMES)["F0"]
    masked.iloc[at] = space_of(bundle).mean[at]
    again = {group.name: group.value for group in explained(bundle, masked).groups}
    assert abs(again["F0"]) < 0.02 * first.value


def test_shares_of_a_linear_model_are_its_weights_times_the_deviations(angry):
    bundle = fitted("logistic_regression")
    scaler, regression = (step for _, step in bundle.model.pipeline.steps)
    weights = (regression.coef_[2] - regression.coef_[0]) / scaler.scale_ / 1.7
    expected = weights * (angry.to_numpy(float) - space_of(bundle).mean)
    for group in explained(bundle, angry).groups:
        assert group.value == pytest.approx(expected[groups_of(NAMES)[group.name]].sum(), abs=1e-6)


def test_a_part_outside_functionals_and_log_mels_is_refused_in_one_line():
    bundle = fitted("lda")
    bundle.model.kinds = frozenset({"layers"})
    with pytest.raises(BundleError, match=r"lda has the part lda, which takes layers"):
        parts_of(bundle)


def test_without_statistics_of_the_training_speech_nothing_is_compared():
    with pytest.raises(BundleError, match="Train on two speakers"):
        space_of(Bundle("lda", fitted("lda").model, FeatureParams()))


def test_drawn_utterances_have_the_mean_of_the_training_and_its_spread():
    space = space_of(fitted("lda"))
    assert np.allclose(drawn(space).mean(axis=0), space.mean)
    assert np.allclose(drawn(space, pairs=4000).std(axis=0), space.scale, rtol=0.1)


def test_shares_in_the_novelty_add_up_to_the_squared_distance():
    bundle, examples = fitted("lda"), with_functionals()
    rows = examples.inputs.functionals.to_numpy(float)
    space = space_of(bundle)
    found = [novelty_shares(space, row) for row in rows]
    for row, (own, _) in zip(rows, found, strict=True):
        assert own.sum() == pytest.approx(space.distance(row[None])[0] ** 2)
    # Each functional's expected share is its mean over the training utterances.
    assert np.allclose(np.mean([own for own, _ in found], axis=0), found[0][1], atol=0.01)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("mfcc_delta2_03_p95", "MFCC deltas"),
        ("log_mel_00_std", "log-mel"),
        ("movement_d1_01_d2_01", "MFCC covariances"),
        ("modulation_00_t6_m2", "modulation"),
        ("voiced_fraction", "F0"),
        ("F0semitoneFrom27.5Hz_sma3nz_amean", "F0"),
        ("F1amplitudeLogRelF0_sma3nz_amean", "formants"),
        ("slopeV0-500_sma3nz_amean", "spectral shape"),
        ("mfcc1_sma3_amean", "MFCC"),
        ("mfcc_sma_de[3]_amean", "MFCC deltas"),
        ("pcm_fftMag_fband250-650_sma_amean", "spectral shape"),
        ("shimmerLocaldB_sma3nz_amean", "voice quality"),
        ("something", "other functionals"),
    ],
)
def test_each_functional_has_its_group(name, group):
    assert group_of(name) == group


def test_log_odds_of_a_calibrated_model_are_divided_by_its_temperature(angry):
    bundle = fitted("lda")
    (part,) = parts_of(bundle)
    raw = bundle.model.classify(bundle.model.embed(Inputs(angry.to_frame().T)))[0]
    found = log_odds(part, Inputs(angry.to_frame().T), QUESTION)
    assert found == pytest.approx(np.log(raw[2] / raw[0]) / 1.7)
