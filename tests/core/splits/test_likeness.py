"""Samples decide: copies are alike, however coded; what merely sounds alike is not."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soxr

from ser.core.splits.likeness import SR, likeness, needed
from ser.corpora.synthetic.speak import speak, utterances
from ser.params import SyntheticParams
from support.recordings import load_audio
from tests.core.splits.test_fingerprint import COPIES


@pytest.fixture(scope="module")
def spoken():
    """Two takes of some sentences by two voices, 16 kHz."""
    plan = utterances(SyntheticParams(speakers=2, sentences=2, takes=2), seed=1)
    return [speak(utterance, sr=16_000) for utterance in plan]


def telephone(y: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz by a filter that shifts phases, at 16 kHz."""
    band = scipy.signal.butter(4, (300, 3400), "band", fs=16_000, output="sos")
    return scipy.signal.sosfilt(band, y)


def cut(y: np.ndarray) -> np.ndarray:
    return y[len(y) // 7 : -len(y) // 10]


def levelled(y: np.ndarray) -> np.ndarray:
    """Gain that rides by 12 dB."""
    return y * 10 ** (0.3 * np.sin(np.arange(len(y)) / 3_000))


def low(y: np.ndarray) -> np.ndarray:
    return soxr.resample(np.asarray(y, dtype=np.float32), 16_000, SR)


def ratio(a: np.ndarray, b: np.ndarray) -> float:
    """Likeness relative to what makes a and b, at SR, one recording."""
    return likeness(a, b) / needed(a, b)


@pytest.mark.parametrize("change", [*COPIES.values(), telephone, cut, levelled])
def test_copies_are_one_recording(spoken, change):
    for y in spoken[::6]:
        assert ratio(low(y), low(change(y))) > 1.3
        assert ratio(low(change(y)), low(y)) > 1.3


def test_two_takes_and_two_sentences_are_two_recordings(spoken):
    pairs = itertools.combinations([low(y) for y in spoken[:8]], 2)
    assert max(ratio(a, b) for a, b in pairs) < 0.75


@pytest.mark.parametrize("colour", [0.0, 0.9, 0.99])
def test_utterances_in_front_of_the_same_noise_are_two_recordings(spoken, colour):
    noise = np.random.default_rng(0).standard_normal(160_000)
    noise = scipy.signal.lfilter([1.0], [1.0, -colour], noise)
    mixed = []
    for y in spoken[:6]:
        part = noise[: len(y)]
        mixed.append(low(y + part * np.sqrt(np.mean(y**2) / np.mean(part**2) / 10**0.5)))
    assert max(ratio(a, b) for a, b in itertools.combinations(mixed, 2)) < 0.9


def test_short_and_silent_and_constant_sounds_decide_nothing():
    rng = np.random.default_rng(0)
    words = [rng.standard_normal(SR // 4) for _ in range(2)]
    silent, constant = np.zeros(SR), np.full(SR, 0.5)
    for a, b in ((words[0], words[1]), (silent, words[0]), (silent, silent), (constant, words[0])):
        assert likeness(a, b) < needed(a, b)
    assert likeness(words[0], words[0]) > needed(words[0], words[0])


def test_words_of_one_speaker_of_tess_are_different_recordings(real_corpora):
    folder = real_corpora.parent / "cases" / "different_recordings"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: it holds different words of one TESS speaker")
    words = [load_audio(Path(path), sr=SR) for path in sorted(folder.glob("*.wav"))]
    assert len(words) == 6
    assert max(ratio(a, b) for a, b in itertools.combinations(words, 2)) < 0.75


def test_takes_of_ravdess_are_different_recordings(real_corpora):
    folder = real_corpora / "ravdess"
    for actor in ("01", "09", "15", "16"):
        pair = [next(folder.rglob(f"03-01-01-01-01-{take}-{actor}.*")) for take in ("01", "02")]
        first, second = (load_audio(path, sr=SR) for path in pair)
        assert ratio(first, second) < 0.85
