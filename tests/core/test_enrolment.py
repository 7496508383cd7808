import numpy as np
import pytest

from ser.core.enrolment import Enrolment, Voice


def clips_of(n, *, level, spread, seed, n_frames=50):
    """n clips of a speaker whose every feature lies around `level`."""
    rng = np.random.default_rng(seed)
    return [rng.normal(level, spread, size=(n_frames, 4)) for _ in range(n)]


@pytest.fixture
def speakers():
    clips, speaker = [], []
    for i, (level, spread) in enumerate([(-10, 1.0), (0, 2.0), (10, 3.0)]):
        clips += clips_of(40, level=level, spread=spread, seed=i)
        speaker += [f"s{i}"] * 40
    return clips, np.array(speaker)


def test_speakers_sound_alike_once_they_are_known(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    heard = enrolment.by_speaker(clips, speaker=speaker)
    for name in np.unique(speaker):
        frames = np.concatenate([heard[i] for i in np.flatnonzero(speaker == name)])
        assert frames.mean() == pytest.approx(0, abs=0.6)
        assert frames.std() == pytest.approx(2.16, rel=0.08)
    assert heard[0].dtype == np.float32


def test_an_unknown_speaker_is_left_as_recorded(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    nobody = enrolment.voice([])
    assert nobody.clips == 0
    np.testing.assert_allclose(enrolment.heard_as_average(clips[0], nobody), clips[0], rtol=1e-6)


def test_each_further_clip_tells_more_of_the_voice(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    own = clips_of(30, level=25, spread=1.0, seed=9)
    gap = [np.abs(enrolment.voice(own[:n]).mean - 25).max() for n in (0, 1, 3, 10, 30)]
    assert gap == sorted(gap, reverse=True)


def test_where_clips_differ_more_than_speakers_do_one_clip_is_little():
    """As in pitch: feature 0 is the speaker's, feature 1 the clip's."""
    rng = np.random.default_rng(0)
    clips = [
        np.array([[s * 10 + rng.normal(), rng.normal() * 10]]) for s in range(8) for _ in "abcd"
    ]
    enrolment = Enrolment.of(clips, speaker=np.repeat(np.arange(8), 4))
    one = enrolment.voice([np.array([[200.0, 200.0]])]).mean - enrolment.mean
    assert one[0] > 0.8 * (200 - enrolment.mean[0])
    assert one[1] < 0.3 * (200 - enrolment.mean[1])


def test_a_feature_that_never_varies_is_not_blown_up():
    still = [np.full((20, 2), 3.0), np.full((20, 2), 3.0)]
    enrolment = Enrolment.of(still, speaker=np.array(["a", "b"]))
    heard = enrolment.heard_as_average(np.full((1, 2), 3.5), enrolment.voice(still))
    np.testing.assert_allclose(heard, 3.5)


def test_one_vector_a_clip_is_enough():
    vectors = [np.array([[v, 2 * v]]) for v in (1.0, 2.0, 3.0, 11.0, 12.0, 13.0)]
    enrolment = Enrolment.of(vectors, speaker=np.array(["a"] * 3 + ["b"] * 3))
    np.testing.assert_allclose(enrolment.mean, [7, 14])
    np.testing.assert_allclose(enrolment.scale, np.sqrt([2 / 3, 8 / 3]))
    assert isinstance(enrolment.voice(vectors[:1]), Voice)
