import numpy as np
import pytest

from ser.core.speakers.enrolment import Enrolment, Voice, rows_of


def clips_of(n, *, level, spread, seed):
    """n embeddings of a speaker whose every feature lies around `level`."""
    return np.random.default_rng(seed).normal(level, spread, size=(n, 4))


@pytest.fixture
def speakers():
    own = [(-10, 1.0), (0, 2.0), (10, 3.0)]
    clips = [clips_of(200, level=m, spread=s, seed=i) for i, (m, s) in enumerate(own)]
    return np.concatenate(clips), np.repeat(["s0", "s1", "s2"], 200)


def test_speakers_sound_alike_once_they_are_known(speakers):
    clips, speaker = speakers
    heard = Enrolment.of(clips, speaker=speaker).by_speaker(clips, speaker=speaker)
    for rows in rows_of(speaker).values():
        assert heard[rows].mean(axis=0) == pytest.approx(np.zeros(4), abs=0.05)
        assert heard[rows].std(axis=0) == pytest.approx(np.ones(4), rel=0.05)


def test_an_unknown_speaker_is_taken_for_an_average_one(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    nobody = enrolment.voice(clips[:0])
    assert nobody.clips == 0
    expected = (clips - enrolment.mean) / enrolment.scale
    np.testing.assert_allclose(enrolment.standardised(clips, nobody), expected)
    np.testing.assert_allclose(enrolment.standardised(clips, None), expected)


def test_each_further_clip_tells_more_of_the_voice(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    # Speakers are alike in one feature, so that one clip does not say all.
    own = np.tile(clips_of(1, level=25, spread=0, seed=9), (30, 1))
    gap = [np.abs(enrolment.voice(own[:n]).mean - 25).max() for n in (0, 1, 3, 10, 30)]
    assert gap == sorted(gap, reverse=True)
    assert gap[0] > gap[-1]


def test_where_clips_differ_more_than_speakers_do_one_clip_is_little():
    """As in pitch: feature 0 is the speaker's, feature 1 the clip's."""
    rng = np.random.default_rng(0)
    speaker = np.repeat([f"s{i}" for i in range(20)], 30)
    own = np.repeat(rng.normal(0, 5, 20), 30)
    clips = np.stack([own + rng.normal(0, 0.5, 600), rng.normal(0, 5, 600)], axis=1)
    enrolment = Enrolment.of(clips, speaker=speaker)
    assert enrolment.prior[0] < 0.2 < 5 < enrolment.prior[1]
    voice = enrolment.voice(np.array([[8.0, 8.0]]))
    assert voice.mean[0] > 6
    assert voice.mean[1] < 2


def test_a_feature_that_never_varies_stays_finite():
    clips = np.zeros((12, 2))
    speaker = np.repeat(["a", "b"], 6)
    enrolment = Enrolment.of(clips, speaker=speaker)
    assert np.isfinite(enrolment.by_speaker(clips, speaker=speaker)).all()


def test_a_single_clip_has_a_spread_that_is_not_its_own(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    voice = enrolment.voice(clips[:1])
    assert isinstance(voice, Voice)
    assert (voice.scale > 0.5).all()


def test_joined_enrolments_are_those_of_embeddings_side_by_side(speakers):
    clips, speaker = speakers
    parts = [Enrolment.of(clips[:, rows], speaker=speaker) for rows in ([0, 1], [2, 3])]
    whole = Enrolment.of(clips, speaker=speaker)
    for name in ("mean", "scale", "prior"):
        np.testing.assert_allclose(getattr(Enrolment.joined(parts), name), getattr(whole, name))


def test_one_clip_tells_nothing_of_a_spread(speakers):
    clips, speaker = speakers
    enrolment = Enrolment.of(clips, speaker=speaker)
    np.testing.assert_allclose(enrolment.voice(clips[:1]).scale, enrolment.scale)
    known = enrolment.voice(clips[speaker == "s0"]).scale
    assert known == pytest.approx(np.full(4, 1.0), rel=0.15)
