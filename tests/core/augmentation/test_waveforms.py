"""Augmented versions: another voice and channel, the same for the same names."""

import librosa
import numpy as np
import pytest
import scipy.signal

from ser.core.augmentation.waveforms import augmented
from ser.core.distortion.noises import active_rms
from ser.core.distortion.timing import sped
from ser.errors import ParamsError
from ser.params import WaveformAugmentParams, parse_params
from support.signals import noise, tone

SR = 16_000
QUIET = WaveformAugmentParams(channels=("plain",), noise_db=None)


def alone(channel: str, **values: object) -> WaveformAugmentParams:
    """One kind of channel without noise or change of speed."""
    return WaveformAugmentParams(channels=(channel,), **{"speed": 0.0, "noise_db": None} | values)


def version(y, number=1, *, speaker="c/01", recording="a" * 64, params=QUIET):
    return augmented(y, sr=SR, speaker=speaker, recording=recording, version=number, params=params)


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
    np.testing.assert_allclose(sped(y, speed=1.2), expected, atol=1e-6)


@pytest.mark.parametrize("snr_db", [-5.0, 5.0, 30.0])
def test_noise_lies_as_far_below_as_was_asked(snr_db):
    y = tone(220)
    added = version(y, params=alone("plain", noise_db=(snr_db, snr_db))) - y
    assert 20 * np.log10(active_rms(y, sr=SR) / added.std()) == pytest.approx(snr_db, abs=0.1)


def test_noise_differs_from_recording_to_recording():
    y, params = tone(220), alone("plain", noise_db=(5, 40))
    one, other = (version(y, recording=name, params=params) - y for name in ("a", "b"))
    assert not np.allclose(one, other)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


def test_everything_off_changes_nothing():
    y = tone(220)
    np.testing.assert_allclose(version(y, params=alone("plain")), y)


def test_each_version_comes_through_its_channel_and_then_from_the_first_again():
    y = noise(seconds=2)
    params = WaveformAugmentParams(channels=("telephone", "plain"), noise_db=None)

    def above_4_khz(number: int) -> float:
        hertz, power = scipy.signal.welch(version(y, number, params=params), SR)
        return 10 * np.log10(power[hertz > 4500].mean() / power[hertz < 2000].mean())

    levels = [above_4_khz(number) for number in (1, 2, 3, 4)]
    assert max(levels[0], levels[2]) < -30
    assert min(levels[1], levels[3]) > -10


def test_a_room_sounds_on():
    y = tone(220, seconds=1)
    y[SR // 2 :] = 0
    dry, wet = version(y, params=alone("plain")), version(y, params=alone("room"))
    after = slice(SR // 2 + 400, SR // 2 + 1600)
    assert wet.size == y.size
    assert wet[after].std() > 0.001 > dry[after].std()


@pytest.mark.parametrize("channel", ["plain", "room", "telephone"])
def test_channels_differ_from_recording_to_recording_by_chance_alone(channel):
    y, params = noise(), alone(channel)
    one, again, other = (version(y, recording=name, params=params) for name in ("a", "a", "b"))
    assert np.array_equal(one, again)
    assert np.array_equal(one, other) == (channel == "plain")


@pytest.mark.parametrize("channel", ["plain", "telephone", "room"])
def test_there_is_noise_in_the_silence_of_every_channel_and_the_telephone_takes_its_treble(channel):
    y = np.pad(tone(220, seconds=1), SR // 2)
    silence = version(y, params=alone(channel, noise_db=(5, 5)))[1000 : SR // 2 - 1000]
    assert silence.std() > 0.02
    hertz, power = scipy.signal.welch(silence, SR)
    treble_db = 10 * np.log10(power[hertz > 4500].mean() / power[hertz < 3000].mean())
    assert (treble_db < -30) == (channel == "telephone")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": ["codec"]}, r"augment\.channels\.0 is 'codec'; input should be 'plain', "),
        ({"channels": []}, r"augment\.channels"),
        ({"room_rt60_seconds": [2.0, 1.0]}, r"room_rt60_seconds.*\[2\.0, 1\.0\].*low <= high"),
        ({"telephone_high_hz": [3000, 9000]}, r"telephone_high_hz.*1500 <= low <= high <= 3990"),
    ],
)
def test_what_is_no_channel_is_refused(values, message):
    with pytest.raises(ParamsError, match=message):
        parse_params({"augment": values})


def test_level_varies_within_its_bound():
    y, params = tone(220), alone("plain", gain_db=6.0)
    gains = [20 * np.log10(version(y, recording=str(i), params=params).std() / y.std())
             for i in range(40)]  # fmt: skip
    assert -6.01 <= min(gains) < -3
    assert 3 < max(gains) <= 6.01
