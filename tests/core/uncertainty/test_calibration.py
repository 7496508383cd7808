import numpy as np
import pytest

from ser.core.uncertainty.calibration import (
    Calibration,
    Calibrations,
    calibrate,
    conformal_threshold,
    fit_temperature,
    held,
    level_for_strangers,
    tempered,
)
from ser.errors import TableError


def drawn(n, *, temperature, seed=0, n_classes=8):
    """Posteriors of a model that is right as often as it says, then sharpened by `temperature`."""
    rng = np.random.default_rng(seed)
    honest = rng.dirichlet(np.full(n_classes, 0.5), size=n)
    target = np.array([rng.choice(n_classes, p=p) for p in honest])
    return tempered(honest, temperature), target


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_spoilt_the_posteriors_is_found(temperature):
    raw, target = drawn(5000, temperature=temperature)
    assert fit_temperature(raw, target) == pytest.approx(1 / temperature, rel=0.05)


def test_calibration_keeps_the_best_emotion_and_sums_to_one():
    raw, _ = drawn(200, temperature=0.3)
    calibrated = Calibration(temperature=2.7).posteriors(raw)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), raw.argmax(axis=1))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)


@pytest.mark.parametrize("coverage", [0.6, 0.8, 0.9, 0.95])
def test_sets_cover_unseen_utterances_as_often_as_asked(coverage):
    raw, target = drawn(6000, temperature=0.5)
    speaker = np.arange(6000) % 20
    heard, unseen = slice(0, 3000), slice(3000, None)
    found = calibrate(raw[heard], target[heard], speaker=speaker[heard], coverage=coverage)
    covered = held(found.sets(found.posteriors(raw[unseen])), target[unseen]).mean()
    # Where one guess covers more than was asked, a set of one is the least there is.
    least = (raw[unseen].argmax(axis=1) == target[unseen]).mean()
    assert covered == pytest.approx(max(coverage, least), abs=0.02)


def test_a_set_always_holds_the_best_emotion():
    sets = Calibration(threshold=0.9).sets(np.array([[0.5, 0.3, 0.2], [0.05, 0.92, 0.03]]))
    assert sets.tolist() == [[True, False, False], [False, True, False]]


def test_the_last_bit_of_a_posterior_decides_no_set():
    calibration = Calibration(coverage=0.9, threshold=0.13770021001164062)
    # Three emotions as sure models see them: which one leads decides how the others round.
    posteriors = np.array([[0.7246, 0.1377002100116406, 0.13770021001164062]] * 3)
    posteriors[1], posteriors[2] = posteriors[1][[1, 0, 2]], posteriors[2][[2, 1, 0]]
    assert calibration.sets(posteriors).all()


def test_an_emotion_that_the_model_does_not_know_widens_the_sets():
    raw, target = drawn(400, temperature=1.0)
    speaker = np.zeros(400)
    strange = np.where(np.arange(400) % 4 == 0, -1, target)
    assert (
        calibrate(raw, strange, speaker=speaker, coverage=0.7).threshold
        < calibrate(raw, target, speaker=speaker, coverage=0.7).threshold
    )
    # A quarter can never be covered, so that no threshold reaches nine in ten.
    assert calibrate(raw, strange, speaker=speaker, coverage=0.9).threshold == 0.0


def test_speakers_weigh_alike_however_much_they_said():
    true = np.array([0.9] * 90 + [0.1] * 10)
    speaker = np.array(["talker"] * 90 + ["silent"] * 10)
    assert conformal_threshold(true, speaker, 0.8) == 0.1
    assert conformal_threshold(true, np.repeat("one", 100), 0.8) == 0.9


def test_strangers_are_covered_as_asked_though_few_speakers_are_known():
    rng = np.random.default_rng(0)
    asked, plain, corrected = 0.9, [], []
    speaker = np.repeat(np.arange(4), 60)
    for _ in range(300):
        ease = rng.normal(size=5)  # some speakers are understood better than others
        scores = rng.normal(size=(5, 60)) + ease[:, None]
        known, stranger = scores[:4].ravel(), scores[4]
        level = level_for_strangers(known, speaker, asked)
        plain.append((stranger >= conformal_threshold(known, speaker, asked)).mean())
        corrected.append((stranger >= conformal_threshold(known, speaker, level)).mean())
    assert np.mean(plain) < 0.88
    assert np.mean(corrected) == pytest.approx(asked, abs=0.02)


def test_one_speaker_alone_tells_nothing_of_strangers():
    assert level_for_strangers(np.array([0.2, 0.9]), np.array(["a", "a"]), 0.8) == 0.8


def test_nothing_to_calibrate_on_is_said():
    with pytest.raises(TableError, match="give dev at least one speaker"):
        calibrate(np.zeros((0, 3)), np.zeros(0, int), speaker=np.zeros(0), coverage=0.9)


def test_between_two_numbers_of_clips_calibration_lies_between_theirs():
    each = (Calibration(3.0, 0.9, 0.1), Calibration(2.0, 0.9, 0.2), Calibration(1.0, 0.9, 0.3))
    calibrations = Calibrations((0, 3, 15), each)
    assert [calibrations.at(n) for n in (0, 3, 15)] == list(each)
    # log(1 + 7) lies midway between log(1 + 3) and log(1 + 15).
    between = calibrations.at(7)
    assert (between.temperature, between.threshold) == pytest.approx((1.5, 0.25))
    assert calibrations.at(1000) == each[-1]


def test_of_a_model_that_knows_no_voices_there_is_one_calibration():
    only = Calibration(2.0, 0.8, 0.1)
    assert Calibrations((0,), (only,)).at(12) == only
    assert Calibrations((0,), (only,)).coverage == 0.8
