import numpy as np
import pytest
import soundfile

from ser.core.utterance.waveform import mono
from ser.corpora.synthetic.speak import speak, utterances
from ser.params import SyntheticParams
from ser.vad.pitch import speech_spans, total_seconds
from support.signals import SR, noise, tone
from support.sounds import SOUNDS, at_snr, pink


@pytest.fixture(scope="module")
def spoken():
    """Two speakers' utterances of one sentence, each in six emotions."""
    return [speak(u, sr=SR) for u in utterances(SyntheticParams(speakers=2, sentences=1), seed=3)]


def seconds_of(y, *, sr=SR):
    return total_seconds(speech_spans(y.astype(np.float32), sr=sr))


@pytest.mark.parametrize("name", SOUNDS)
def test_other_sounds_are_no_speech(name):
    assert seconds_of(SOUNDS[name](3.0)) == 0


def test_speech_is_found_in_every_voice_and_emotion(spoken):
    for y in spoken:
        assert 0.4 < seconds_of(y) <= y.size / SR


def test_level_does_not_matter(spoken):
    for y in spoken[:4]:
        np.testing.assert_allclose(
            speech_spans(y * np.float32(0.01), sr=SR), speech_spans(y, sr=SR), atol=0.03
        )


@pytest.mark.parametrize("snr_db", [20, 10])
def test_speech_in_noise_is_still_found(spoken, snr_db):
    rng = np.random.default_rng(0)
    for y in spoken[:6]:
        for sound in (rng.standard_normal(y.size), pink(y.size, rng)):
            noisy = seconds_of(at_snr(y, sound, snr_db=snr_db))
            assert noisy == pytest.approx(seconds_of(y), rel=0.4)


def test_silence_around_speech_adds_nothing_and_moves_it(spoken):
    y = spoken[0]
    hush = noise(seconds=1.0, level=1e-5)
    alone, amid = speech_spans(y, sr=SR), speech_spans(np.concatenate([hush, y, hush]), sr=SR)
    assert total_seconds(amid) == pytest.approx(total_seconds(alone), abs=0.25)
    assert amid[0][0] == pytest.approx(1.0 + alone[0][0], abs=0.11)
    assert amid[-1][1] == pytest.approx(1.0 + alone[-1][1], abs=0.11)


def test_spans_are_in_order_apart_and_within_the_recording(spoken):
    y = np.concatenate([spoken[0], np.zeros(SR, np.float32), spoken[1]])
    spans = np.array(speech_spans(y, sr=SR))
    assert len(spans) >= 2
    assert (spans[:, 1] > spans[:, 0]).all()
    assert (spans[1:, 0] > spans[:-1, 1]).all()
    assert spans[0, 0] >= 0
    assert spans[-1, 1] <= y.size / SR


def test_the_sampling_rate_does_not_matter():
    (utterance, *_) = utterances(SyntheticParams(speakers=2, sentences=1), seed=3)
    at_48k = seconds_of(speak(utterance, sr=48_000), sr=48_000)
    assert at_48k == pytest.approx(seconds_of(speak(utterance, sr=SR)), rel=0.25)


def test_speech_over_hum_is_found(spoken):
    y = spoken[0]
    hum = sum(tone(50 * k, seconds=y.size / SR, level=1 / k) for k in range(1, 8))[: y.size]
    assert seconds_of(at_snr(y, hum, snr_db=10)) > 0.5 * seconds_of(y)


def test_the_shortest_recordings_have_no_speech():
    assert speech_spans(np.zeros(0, np.float32), sr=SR) == ()
    assert speech_spans(np.ones(1, np.float32), sr=SR) == ()


def test_actors_speech_is_found_loud_and_soft(real_corpora):
    for file in sorted((real_corpora / "ravdess").rglob("*.flac"))[::180]:
        y, sr = soundfile.read(file, dtype="float32")
        y = mono(y)
        assert seconds_of(y, sr=sr) > 0.9, file.name
        assert seconds_of(y * 0.01, sr=sr) > 0.9, file.name
