"""Augmented versions: another voice and room, the same for the same names."""

import librosa
import numpy as np
import pytest

from ser.core.augmentation.waveforms import augmented, noisy, played
from ser.params import WaveformAugmentParams
from support.signals import tone

SR = 16_000
QUIET = WaveformAugmentParams(noise_db=None)


def version(y, number=1, *, speaker="c/01", recording="a" * 64, params=QUIET):
    return augmented(y, speaker=speaker, recording=recording, version=number, params=params)


def test_the_same_names_give_the_same_samples():
    y, params = tone(220), WaveformAugmentParams()
    assert np.array_equal(version(y, params=params), version(y, params=params))
    assert version(y, params=params).dtype == np.float32


def test_odd_versions_are_slower_and_lower_even_ones_faster_and_higher():
    y = tone(220)
    for speaker in map(str, range(20)):
        slower, faster = version(y, 1, speaker=speaker), version(y, 2, speaker=speaker)
        assert 1.04 < len(slower) / len(y) < 1.151
        assert 1 / 1.151 < len(faster) / len(y) < 1 / 1.04
        spectrum = np.abs(np.fft.rfft(slower))
        hertz = spectrum.argmax() * SR / len(slower)
        assert hertz == pytest.approx(220 * len(y) / len(slower), rel=0.01)


def test_a_version_of_a_speaker_is_one_voice_and_another_speaker_s_another():
    y = tone(220)
    own = {len(version(y, recording=str(i))) for i in range(5)}
    assert len(own) == 1
    assert len({len(version(y, speaker=str(i))) for i in range(5)}) == 5


def test_playing_is_resampling_as_librosa_does():
    y = tone(300)
    expected = librosa.resample(y, orig_sr=1200, target_sr=1000, res_type="soxr_hq")
    np.testing.assert_allclose(played(y, speed=1.2), expected, atol=1e-6)


@pytest.mark.parametrize("snr_db", [-5.0, 5.0, 30.0])
def test_noise_lies_as_far_below_as_was_asked(snr_db):
    y = tone(220)
    noise = noisy(y, snr_db=snr_db, rng=np.random.default_rng(0)) - y
    assert 20 * np.log10(y.std() / noise.std()) == pytest.approx(snr_db, abs=0.1)


def test_noise_differs_from_recording_to_recording():
    y, params = tone(220), WaveformAugmentParams(speed=0.0)
    one, other = (version(y, recording=name, params=params) - y for name in ("a", "b"))
    assert not np.allclose(one, other)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_everything_off_changes_nothing():
    y = tone(220)
    np.testing.assert_allclose(
        version(y, params=WaveformAugmentParams(speed=0.0, noise_db=None)), y
    )


def test_level_varies_within_its_bound():
    y, params = tone(220), WaveformAugmentParams(speed=0.0, noise_db=None, gain_db=6.0)
    gains = [20 * np.log10(version(y, recording=str(i), params=params).std() / y.std())
             for i in range(40)]  # fmt: skip
    assert -6.01 <= min(gains) < -3
    assert 3 < max(gains) <= 6.01
