import librosa
import numpy as np
import pytest

from ser.core.features.extract import audible, speech_bounds
from ser.core.utterance.waveform import HighPass, high_pass, mono, resample, trim, trim_bounds
from ser.errors import AudioError, EmptyAudio
from ser.params import FeatureParams
from support.signals import SR, noise, tone, voice


def test_mono_is_the_mean_of_channels():
    left, right = noise(seed=1), noise(seed=2)
    assert np.allclose(mono(np.stack([left, right], axis=1)), (left + right) / 2, atol=1e-7)


def test_one_channel_passes_unchanged_in_either_shape():
    y = noise()
    assert np.array_equal(mono(y), y)
    assert np.array_equal(mono(y[:, None]), y)
    assert mono(y.astype(np.float64)).dtype == np.float32


@pytest.mark.parametrize("shape", [(4, 0), (2, 3, 4), ()])
def test_a_shape_without_samples_by_channels_is_refused(shape):
    with pytest.raises(AudioError, match="expected"):
        mono(np.zeros(shape))


def test_resampling_equals_librosa_and_keeps_a_tone():
    y = tone(440, sr=48_000)
    ours = resample(y, sr_in=48_000, sr_out=SR)
    theirs = librosa.resample(y, orig_sr=48_000, target_sr=SR)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, atol=1e-6)
    inner = slice(800, -800)
    assert np.allclose(ours[inner], tone(440)[inner], atol=1e-3)


def test_resampling_to_the_same_rate_changes_nothing():
    y = noise()
    assert np.array_equal(resample(y, sr_in=SR, sr_out=SR), y)


def test_a_rate_of_zero_is_refused():
    with pytest.raises(AudioError, match="0 Hz, to be resampled to 16000 Hz"):
        resample(noise(), sr_in=0, sr_out=SR)


def test_trim_keeps_the_speech_and_its_margin():
    speech = tone(200, seconds=0.5)
    silence = noise(seconds=0.4, level=1e-4)
    y = np.concatenate([silence, speech, silence])
    trimmed = trim(y, sr=SR, top_db=40, margin_seconds=0.05)
    assert abs(trimmed.size - speech.size - 0.1 * SR) <= 0.02 * SR
    start = silence.size - round(0.05 * SR)
    assert np.shares_memory(trimmed, y)
    assert trimmed[0] == pytest.approx(y[start], abs=1e-3)


def test_trim_keeps_a_pause_inside_the_speech():
    y = np.concatenate([tone(200), np.zeros(SR // 2, np.float32), tone(300)])
    assert trim(y, sr=SR).size == y.size


def test_trim_does_not_depend_on_level():
    y = np.concatenate([noise(level=1e-4), tone(200), noise(level=1e-4)])
    assert trim(y, sr=SR).size == trim(0.01 * y, sr=SR).size < y.size


@pytest.mark.parametrize("below_db", [45, 30, 20])
def test_noise_is_trimmed_as_silence_is(below_db):
    speech = tone(200, seconds=0.5)
    y = np.pad(speech, SR) + noise(seconds=2.5, level=0.21 * 10 ** (-below_db / 20))
    bounds = {"sr": SR, "top_db": 40, "margin_seconds": 0.05}
    start, stop = trim_bounds(y, **bounds, noise_db=8.0)
    assert start == pytest.approx(0.95 * SR, abs=160)
    assert stop == pytest.approx(1.55 * SR, abs=160)
    if below_db < 40:
        assert trim_bounds(y, **bounds) == (0, y.size)


def test_noise_as_loud_as_speech_leaves_the_speech():
    y = voice()
    start, stop = trim_bounds(y, sr=SR, top_db=40, margin_seconds=0.0, noise_db=40.0)
    assert stop - start > 0.8 * y.size


def test_a_filter_that_rings_at_the_start_and_a_resampler_at_the_end_are_no_speech():
    sr = 48_000
    y = np.pad(0.01 * tone(200, seconds=0.5, sr=sr), sr)
    hum = 0.14 * np.sin(2 * np.pi * 30 * np.arange(y.size) / sr + 1)
    params = FeatureParams()
    bare, rumbling = (
        speech_bounds(audible(s.astype(np.float32), sr=sr, params=params), params=params)
        for s in (y, y + hum)
    )
    assert rumbling == pytest.approx(bare, abs=160)


def test_digital_silence_comes_back_whole():
    assert trim(np.zeros(1000, np.float32), sr=SR).size == 1000


def test_nothing_to_trim_is_an_error():
    with pytest.raises(EmptyAudio):
        trim(np.zeros(0, np.float32), sr=SR)


def test_a_high_pass_filter_gives_the_same_samples_in_any_chunks():
    y = voice() + np.float32(0.1)
    whole = high_pass(y, sr=SR, cutoff_hz=70.0)
    for size in (1, 160, 1601):
        chunked = HighPass(cutoff_hz=70.0, sr=SR)
        parts = [chunked(y[start : start + size]) for start in range(0, y.size, size)]
        assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("sr", [8_000, 16_000, 48_000])
def test_a_high_pass_filter_takes_rumble_off_and_leaves_speech(sr):
    def gain_db(hz: float) -> float:
        y = high_pass(tone(hz, sr=sr, seconds=2.0), sr=sr, cutoff_hz=70.0)[sr:]
        return 20 * np.log10(np.sqrt(2 * np.mean(np.square(y))) / 0.3)

    assert max(gain_db(hz) for hz in (5, 18, 30, 36)) < -69
    assert gain_db(70) == pytest.approx(-3, abs=0.2)
    assert all(gain_db(hz) == pytest.approx(0, abs=0.3) for hz in (85, 100, 440, 3_000))


def test_a_high_pass_filter_leaves_no_step_of_an_offset():
    assert np.abs(high_pass(np.full(SR, 0.3, np.float32), sr=SR, cutoff_hz=70.0)).max() < 1e-9


def test_a_click_at_the_very_start_does_not_keep_the_silence_after_it():
    silence = np.zeros(SR, np.float32)
    y = np.concatenate([silence, voice()])
    y[:100] = 0.5
    assert trim(y, sr=SR).size == trim(np.concatenate([silence, voice()]), sr=SR).size


def test_speech_that_begins_at_once_is_kept_whole():
    y = voice()
    assert (
        trim(np.concatenate([y, np.zeros(SR, np.float32)]), sr=SR)[: y.size].tolist() == y.tolist()
    )
