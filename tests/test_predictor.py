"""An answer, or the reason why there is none."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from ser.bundle import CARD_FILE, load_bundle, save_bundle
from ser.core.distortion.noises import coloured, mixed
from ser.core.utterance.waveform import resample
from ser.io.audio.read import load_mono
from ser.params import AbstentionParams
from ser.predictor import Predictor


@pytest.fixture(scope="module")
def bundle(trained):
    return load_bundle(trained.root / "models" / "bundle")


@pytest.fixture(scope="module")
def spoken(trained):
    """A recording of the embedded corpus, whose kind the model has learnt."""
    return load_mono(next((trained.root / "data/raw/synthetic").rglob("*.wav")))


def asked(bundle, **abstention) -> Predictor:
    return Predictor(replace(bundle, abstention=AbstentionParams(**abstention)))


def test_speech_as_it_was_learnt_is_answered(bundle, spoken):
    y, sr = spoken
    answer = Predictor(bundle).predict(y, sr=sr)
    assert answer.abstention is None
    assert answer.emotion == max(answer.posteriors, key=answer.posteriors.get)
    assert answer.candidates[0] == answer.emotion


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda y, sr: np.zeros(2 * sr, np.float32), "no_speech"),
        (lambda y, sr: y[: sr // 10], "too_short"),
        (lambda y, sr: np.tile(y, 600 * sr // y.size), "too_long"),
        (lambda y, sr: np.clip(20 * y / np.abs(y).max(), -0.5, 0.5), "clipped"),
    ],
    ids=["silence", "a tenth of a second", "ten minutes", "overdriven"],
)
def test_a_signal_that_says_nothing_gets_a_reason_and_no_posteriors(bundle, spoken, spoil, reason):
    y, sr = spoken
    answer = Predictor(bundle).predict(spoil(y, sr).astype(np.float32), sr=sr)
    assert answer.abstention.reason == reason
    assert (answer.emotion, answer.confidence, answer.posteriors) == (None, None, {})


@pytest.mark.parametrize("sr_out", [16_000, 48_000])
def test_an_offset_and_rumble_change_no_answer(bundle, spoken, sr_out):
    y = resample(spoken[0], sr_in=spoken[1], sr_out=sr_out)
    rumble = 0.05 * np.std(y) * np.sin(2 * np.pi * 30 * np.arange(y.size) / sr_out)
    clean = Predictor(bundle).predict(y, sr=sr_out)
    # This speech has digital silence; there, what the filter lets through of the rumble is seen.
    for added, tolerance in ((0.02, 1e-3), (-0.05, 1e-3), (rumble, 0.02)):
        spoilt = Predictor(bundle).predict((y + added).astype(np.float32), sr=sr_out)
        assert spoilt.emotion == clean.emotion
        assert list(spoilt.posteriors.values()) == pytest.approx(
            list(clean.posteriors.values()), abs=tolerance
        )


def test_a_bundle_from_before_filter_and_floor_is_served_without_them(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    head = json.loads((tmp_path / "bundle" / CARD_FILE).read_text())
    del head["features"]["high_pass_hz"], head["features"]["contrast_top_db"]
    (tmp_path / "bundle" / CARD_FILE).write_text(json.dumps(head))
    features = load_bundle(tmp_path / "bundle").features
    assert features.high_pass_hz is features.contrast_top_db is None


def test_strange_speech_gets_a_reason_beside_its_posteriors(bundle, spoken):
    y, sr = spoken
    # As through a wall.
    muffled = sosfilt(butter(8, 500, fs=sr, output="sos"), y).astype(np.float32)
    answer = asked(bundle, max_novelty_percentile=99).predict(muffled, sr=sr)
    assert answer.abstention.reason == "out_of_domain"
    assert answer.emotion is None
    assert sum(answer.posteriors.values()) == pytest.approx(1)
    answered = asked(bundle, max_novelty_percentile=None).predict(muffled, sr=sr)
    assert answered.emotion == answer.candidates[0]


def test_noise_as_models_have_learnt_to_bear_is_not_strange(bundle, spoken):
    y, sr = spoken
    noise = coloured(y.size, sr=sr, db_per_octave=-3, rng=np.random.default_rng(0))
    heard = mixed(y, noise, sr=sr, snr_db=15)
    assert asked(bundle, max_novelty_percentile=99).predict(heard, sr=sr).abstention is None


def test_the_least_confidence_can_be_asked_for(bundle, spoken):
    y, sr = spoken
    answer = asked(bundle, min_confidence=1.0).predict(y, sr=sr)
    assert answer.abstention.reason == "unsure"


def test_when_to_abstain_travels_in_the_bundle(bundle, tmp_path, spoken):
    save_bundle(replace(bundle, abstention=AbstentionParams(min_confidence=1.0)), tmp_path / "b")
    again = load_bundle(tmp_path / "b")
    assert again.abstention.min_confidence == 1.0
    y, sr = spoken
    assert Predictor(again).predict(y, sr=sr).abstention.reason == "unsure"


def test_evaluation_never_abstains(bundle, spoken):
    y, sr = spoken
    strict = asked(bundle, min_confidence=1.0, max_novelty_percentile=0.1)
    assert strict.posteriors(y, sr=sr).sum() == pytest.approx(1)
