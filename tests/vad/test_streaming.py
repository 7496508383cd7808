"""Speech is found in live audio as it comes, whatever pieces it comes in."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.core.utterance.waveform import mono, resample
from ser.corpora.synthetic.speak import speak, utterances
from ser.errors import AudioError, ParamsError
from ser.params import SyntheticParams
from ser.vad import silero
from ser.vad.streaming import FRAME, SR, StreamingDetector
from support.signals import noise
from support.sounds import SOUNDS

needs_silero = pytest.mark.skipif(not silero.installed(), reason="the extra `vad` is not installed")
DETECTORS = ["energy", pytest.param("silero", marks=needs_silero)]
#: A room's hush: some steps of 16 bits.
HUSH = 3e-5


@pytest.fixture(scope="module")
def spoken():
    return [speak(u, sr=SR) for u in utterances(SyntheticParams(speakers=2, sentences=1), seed=3)]


def amid_silence(y: np.ndarray, *, before: float = 2.0, after: float = 1.0) -> np.ndarray:
    silent = noise(seconds=before + after + y.size / SR + 1, level=HUSH)
    whole = silent[: round((before + after) * SR) + y.size].copy()
    whole[round(before * SR) : round(before * SR) + y.size] += y
    return (np.round(whole * 2**15) / 2**15).astype(np.float32)


def flags_of(y: np.ndarray, detector: str) -> np.ndarray:
    return StreamingDetector(detector=detector)(y)


@pytest.mark.parametrize("detector", DETECTORS)
def test_any_chunks_give_the_same_flags(spoken, detector):
    y = amid_silence(spoken[0])
    whole = flags_of(y, detector)
    assert whole.size == y.size // FRAME

    @settings(deadline=None, max_examples=15)
    @given(st.lists(st.integers(0, y.size), max_size=40))
    def check(cuts):
        one = StreamingDetector(detector=detector)
        edges = [0, *sorted(cuts), y.size]
        parts = [one(y[a:b]) for a, b in pairwise(edges)]
        assert np.array_equal(np.concatenate(parts), whole)

    check()
    by_one = StreamingDetector(detector=detector)
    short = y[2 * SR : 2 * SR + 3 * FRAME]
    found = [by_one(short[i : i + 1]) for i in range(short.size)]
    assert np.array_equal(np.concatenate(found), flags_of(short, detector))


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("detector", DETECTORS)
def test_speech_is_found_where_it_is_loud_or_quiet(spoken, detector, gain):
    for y in spoken[::3]:
        flags = flags_of(amid_silence(y * np.float32(gain)), detector)
        found = np.flatnonzero(flags) * FRAME / SR
        assert 1.9 <= found[0] <= 2.35
        assert 2.0 + y.size / SR - 0.5 <= found[-1] <= 2.0 + y.size / SR + 0.25
        assert flags.sum() * FRAME > 0.4 * y.size


@pytest.mark.parametrize("detector", DETECTORS)
def test_actors_speech_is_found_loud_and_quiet(real_corpora, detector):
    for file in sorted((real_corpora / "ravdess").rglob("*.flac"))[::240]:
        y, sr = soundfile.read(file, dtype="float32")
        y = resample(mono(y), sr_in=sr, sr_out=SR)
        counts = [
            flags_of(amid_silence(y * np.float32(gain)), detector).sum() for gain in (1.0, 0.1)
        ]
        assert min(counts) * FRAME / SR > 0.7, file.name
        assert counts[1] == pytest.approx(counts[0], rel=0.3), file.name


# Silero takes a long buzz of the mains for a voice, in whole recordings, too.
@pytest.mark.parametrize("level", [1.0, 0.01])
@pytest.mark.parametrize(
    ("detector", "name"),
    [
        *(("energy", name) for name in SOUNDS),
        *(pytest.param("silero", n, marks=needs_silero) for n in SOUNDS if n != "hum"),
    ],
)
def test_other_sounds_are_no_speech(detector, name, level):
    assert not flags_of((level * SOUNDS[name](6.0)).astype(np.float32), detector).any()


@needs_silero
def test_faint_hum_is_not_made_as_loud_as_speech():
    assert flags_of((1e-3 * SOUNDS["hum"](6.0)).astype(np.float32), "silero").mean() < 0.02


@needs_silero
def test_speech_after_a_bang_is_found(spoken):
    y = amid_silence(spoken[0] * np.float32(0.1 / np.abs(spoken[0]).max()))
    bang = y.copy()
    bang[SR : SR + 400] += np.exp(-np.arange(400) / 100).astype(np.float32)
    assert flags_of(bang, "silero").sum() > 0.8 * flags_of(y, "silero").sum()


def test_without_silero_pitch_decides(monkeypatch):
    monkeypatch.setattr(silero, "installed", lambda: False)
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    silero.load_weights.cache_clear()
    assert StreamingDetector()(np.zeros(FRAME, np.float32)).tolist() == [False]
    with pytest.raises(ParamsError, match=r"ser-platform\[vad\]"):
        StreamingDetector(detector="silero")
    silero.load_weights.cache_clear()


@pytest.mark.parametrize("detector", DETECTORS)
def test_samples_that_cannot_be_are_refused_and_change_nothing(detector):
    one = StreamingDetector(detector=detector)
    with pytest.raises(AudioError, match="expected finite"):
        one(np.full(10, np.nan, np.float32))
    with pytest.raises(AudioError, match="shape"):
        one(np.zeros((10, 2), np.float32))
    assert one(np.zeros(FRAME - 1, np.float32)).size == 0
    assert one(np.zeros(1, np.float32)).size == 1
