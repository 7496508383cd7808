import numpy as np
import pytest

from ser.core.speakers.adaptation import Adaptation

N_CLASSES = 4


def posteriors_of(logs: np.ndarray) -> np.ndarray:
    exponents = np.exp(logs - logs.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def speakers(n, *, habit, seed, sure=1.0, clips=40):
    """Posteriors, targets and speakers; each speaker's emotions lie `habit` off the usual place.

    sure : a model that is surer by so much has log-posteriors so many times as far apart.
    """
    rng = np.random.default_rng(seed)
    logs, target = [], []
    for _ in range(n):
        place = 4 * np.eye(N_CLASSES) + rng.normal(0, habit, size=(N_CLASSES, N_CLASSES))
        own = np.arange(clips) % N_CLASSES
        logs.append(place[own] + rng.normal(0, 1.2, size=(clips, N_CLASSES)))
        target.append(own)
    speaker = np.repeat(np.arange(n), clips)
    return posteriors_of(sure * np.concatenate(logs)), np.concatenate(target), speaker


@pytest.fixture(scope="module", params=[1.0, 8.0], ids=["modest", "too sure"])
def sure(request):
    return request.param


@pytest.fixture(scope="module")
def adaptation(sure):
    raw, target, _ = speakers(30, habit=2.0, seed=0, sure=sure)
    return Adaptation.of(raw, target)


def right(posteriors, target) -> float:
    return float((posteriors.argmax(axis=1) == target).mean())


def test_a_speakers_own_clips_help_to_tell_his_or_her_emotions(adaptation, sure):
    raw, target, speaker = speakers(60, habit=2.0, seed=1, sure=sure)
    usual = adaptation.posteriors(raw, None)
    own = np.empty_like(usual)
    for name in np.unique(speaker):
        rows = speaker == name
        own[rows] = adaptation.posteriors(raw[rows], adaptation.own(raw[rows]))
    assert right(own, target) > right(usual, target) + 0.015
    picked = np.arange(len(raw)), target
    assert -np.log(own[picked]).mean() < -np.log(usual[picked]).mean() - 0.02
    np.testing.assert_allclose(own.sum(axis=1), 1)


def test_unknown_speakers_are_answered_as_before_only_less_surely(adaptation, sure):
    raw, _, _ = speakers(20, habit=2.0, seed=2, sure=sure)
    usual = adaptation.posteriors(raw, None)
    assert np.array_equal(usual.argmax(axis=1), raw.argmax(axis=1))
    nobody = adaptation.own(raw[:0])
    np.testing.assert_allclose(nobody, adaptation.means)
    np.testing.assert_allclose(adaptation.posteriors(raw, nobody), usual, atol=1e-12)
    assert adaptation.temperature == pytest.approx(0.9 * sure, rel=0.5)


def test_an_emotion_that_was_not_heard_stays_where_it_is(adaptation, sure):
    raw, target, _ = speakers(1, habit=2.0, seed=3, sure=sure, clips=400)
    only = raw[(target == 0) & (adaptation.posteriors(raw, None)[:, 0] > 0.98)]
    gone = np.abs(adaptation.own(only) - adaptation.means).max(axis=1)
    assert gone[0] > 10 * gone[1:].max()


def test_each_further_clip_takes_the_emotions_further(adaptation, sure):
    raw, _, _ = speakers(1, habit=3.0, seed=4, sure=sure)
    gone = [np.linalg.norm(adaptation.own(raw[:n]) - adaptation.means) for n in (0, 4, 12, 40)]
    assert gone == sorted(gone)


def test_what_was_hardly_heard_is_no_adaptation():
    raw, target, _ = speakers(3, habit=1.0, seed=5)
    few = np.flatnonzero((target != 2) | (np.arange(len(target)) == 2))
    assert Adaptation.of(raw[few], target[few]) is None


def test_certainty_that_knows_no_doubt_stays_finite():
    target = np.arange(40) % N_CLASSES
    raw = np.eye(N_CLASSES)[target]
    adaptation = Adaptation.of(raw, target)
    found = adaptation.posteriors(raw, adaptation.own(raw))
    assert np.isfinite(found).all()
    assert right(found, target) == 1
