"""Copies share a fingerprint; other takes do not."""

import io

import numpy as np
import pytest
import soundfile
import soxr

from ser.core.splits.fingerprint import LENGTH, fingerprint, needed, similarity, waves
from ser.corpora.synthetic.speak import speak, utterances
from ser.params import SyntheticParams
from support.recordings import load_audio
from support.signals import SR, noise, voice


@pytest.fixture(scope="module")
def spoken():
    """Two takes of some sentences by two voices, 16 kHz."""
    plan = utterances(SyntheticParams(speakers=2, sentences=2, takes=2), seed=1)
    return [speak(utterance, sr=SR) for utterance in plan]


def alike(a: np.ndarray, b: np.ndarray, *, sr: int = SR, sr_b: int | None = None) -> float:
    """Similarity, relative to what makes the two one recording."""
    prints = [fingerprint(a, sr=sr), fingerprint(b, sr=sr_b or sr)]
    assert all(prints)
    wave_a, wave_b = (waves(np.frombuffer(p, np.uint8)[None]) for p in prints)
    return float(similarity(wave_a, wave_b)[0] / needed(wave_a, wave_b)[0])


def coded(y: np.ndarray, name: str, subtype: str, sr: int = SR, **options) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, y, sr, format=name, subtype=subtype, **options)
    file.seek(0)
    decoded, rate = soundfile.read(file, dtype="float32")
    return decoded if rate == sr else soxr.resample(decoded, rate, sr)


COPIES = {
    "half as loud": lambda y: 0.5 * y,
    "a hundred times softer": lambda y: 0.01 * y / np.abs(y).max(),
    "clipped": lambda y: np.clip(y * 1.5 / np.abs(y).max(), -1, 1),
    "inverted": lambda y: -y,
    "padded": lambda y: np.pad(y, (4_000, 1_500)),
    "trimmed": lambda y: y[np.flatnonzero(np.abs(y) > 0.02 * np.abs(y).max())[0] :],
    "noisy": lambda y: y + noise(seconds=len(y) / SR, level=1.0)[: len(y)] * 0.03 * y.std(),
    "MP3": lambda y: coded(y, "MP3", "MPEG_LAYER_III"),
    "Vorbis, lowest quality": lambda y: coded(y, "OGG", "VORBIS", compression_level=1.0),
    "Opus": lambda y: coded(y, "OGG", "OPUS"),
    "A-law": lambda y: coded(y, "WAV", "ALAW"),
    "8 bits": lambda y: coded(y / np.abs(y).max(), "WAV", "PCM_U8"),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_alike(spoken, kind):
    for y in spoken[::6]:
        assert alike(y, COPIES[kind](y).astype(np.float32)) > 1


def test_another_rate_is_alike(spoken):
    for y in spoken[::8]:
        for rate in (8_000, 48_000):
            assert alike(y, soxr.resample(y, SR, rate), sr_b=rate) > 1


def test_gain_changes_no_bit_of_the_wave_and_no_take_is_alike(spoken):
    for y in spoken[:3]:
        assert fingerprint(y, sr=SR) == fingerprint(4.0 * y, sr=SR)
    different = [alike(a, b) for i, a in enumerate(spoken[:16]) for b in spoken[i + 1 : 16]]
    assert max(different) < 1


def test_real_takes_differ_and_real_copies_do_not(real_corpora):
    """Both takes of actors' neutral sentences: the most similar recordings of the corpus."""
    folder = real_corpora / "ravdess"
    for actor in ("01", "09", "15", "16"):
        pair = [next(folder.rglob(f"03-01-01-01-01-{take}-{actor}.*")) for take in ("01", "02")]
        first, second = (load_audio(path, sr=48_000) for path in pair)
        assert alike(first, second, sr=48_000) < 0.8
        assert alike(first, coded(first, "OGG", "OPUS", sr=48_000), sr=48_000) > 1
        assert alike(first, soxr.resample(first, 48_000, 8_000), sr=48_000, sr_b=8_000) > 1


def test_silence_and_clicks_have_no_fingerprint():
    assert fingerprint(np.zeros(SR, np.float32), sr=SR) is None
    assert fingerprint(np.full(SR, 1e-5, np.float32), sr=SR) is None
    assert fingerprint(voice(seconds=0.2), sr=SR) is None
    assert fingerprint(np.zeros(0, np.float32), sr=SR) is None


def test_short_words_in_digital_silence_are_no_copies_of_one_another(spoken):
    """What a filter rings in zeros is the same everywhere, and no sign of a copy."""
    words = []
    for y in spoken:
        start = max(0, int(np.abs(y).argmax()) - SR // 8)
        words.append(np.pad(y[start : start + SR // 4], SR // 2))
    different = [alike(a, b) for i, a in enumerate(words) for b in words[i + 1 :]]
    assert max(different) < 1
    clicks = [np.zeros(SR, np.float32) for _ in range(2)]
    clicks[0][8_000], clicks[1][8_000:8_030] = 0.9, 0.5
    prints = [fingerprint(click, sr=SR) for click in clicks]
    assert None in prints or alike(*clicks) < 1


def test_a_long_recording_with_pauses_is_alike_after_coding(spoken):
    long = np.concatenate([np.pad(y, 2_000) for y in spoken[::3]])
    for kind in ("Opus", "MP3", "noisy", "clipped"):
        assert alike(long, COPIES[kind](long).astype(np.float32)) > 1


@pytest.mark.parametrize("seconds", [0.3, 1.0, 60.0])
def test_any_length_gives_one_fingerprint(seconds):
    y = np.tile(voice(seconds=min(seconds, 2.0)), max(1, round(seconds / 2)))
    first = fingerprint(y, sr=SR)
    assert first == fingerprint(y, sr=SR)
    assert len(first) == LENGTH


def test_two_short_sounds_need_more_likeness_than_long_ones():
    short, long = (
        waves(np.frombuffer(fingerprint(voice(seconds=s), sr=SR), np.uint8)[None])
        for s in (0.3, 2.0)
    )
    assert needed(short, short)[0] > 1.5 * needed(long, long)[0]
