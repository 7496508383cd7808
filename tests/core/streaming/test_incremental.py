"""Two routes to one number: features of a window, and of the same samples by themselves."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.core.features.extract import above_rumble, audible, extract
from ser.core.streaming.incremental import REMEMBERED, GrowingUtterance, is_incremental
from ser.core.utterance.waveform import forgetting, mono, resample
from ser.errors import AudioError, EmptyAudio
from ser.params import FeatureParams
from support.signals import SR, noise, tone, voice
from support.sounds import SOUNDS

PARAMS = FeatureParams()
HOP = PARAMS.hop_length


def talk(seconds: float = 6.0, *, seed: int = 0) -> np.ndarray:
    """Voices of different pitch and level one after the other, in faint noise."""
    parts = [
        voice(seconds=0.7, f0=110 + 25 * i, seed=seed + i) * (0.3 + 0.1 * (i % 5))
        for i in range(round(seconds / 0.7) + 1)
    ]
    y = np.concatenate(parts)[: round(seconds * SR)]
    return y + noise(seconds=seconds, level=1e-4, seed=seed)[: y.size]


def steps_of_16_bits(y: np.ndarray) -> np.ndarray:
    return (np.clip(np.round(y * 2**15), -(2**15), 2**15 - 1) / 2**15).astype(np.float32)


def with_digital_silence(y: np.ndarray) -> np.ndarray:
    y = y.copy()
    for start in range(0, y.size, 20_000):
        y[start + 3_000 : start + 11_000] = 0
    return y


SPEECH = {
    "speech": talk(),
    "of any float": talk() * np.float32(0.7123),
    "very quiet": talk() * 1e-3,
    "offset": talk() + 0.2,
    "muted now and then": with_digital_silence(talk()),
    "muted with an offset": with_digital_silence(talk()) + 0.2,
    "hum": talk() + sum(tone(50 * k, seconds=6, level=0.02 / k) for k in range(1, 9)),
    "clipped": np.clip(talk() * 20, -0.5, 0.5),
}


def batch(y: np.ndarray, params: FeatureParams = PARAMS):
    return extract(audible(y, sr=SR, params=params), params=params)


def assert_alike(found, expected) -> None:
    """Functionals within 1e-3 of their size, all but a few within 1e-4; log-mel a half's step."""
    assert found.functionals.index.equals(expected.functionals.index)
    assert found.log_mel.shape == expected.log_mel.shape
    apart = np.abs(found.functionals - expected.functionals)
    share = (apart / np.maximum(1.0, np.abs(expected.functionals))).to_numpy()
    # One sign that changes more or less is 1e-3 of a frame's.
    assert share.max() < 2e-3
    assert (share > 1e-4).mean() < 0.01
    between = np.abs(found.log_mel.astype(np.float32) - expected.log_mel.astype(np.float32))
    assert between.max() <= 2**-4


@pytest.mark.parametrize("name", SPEECH)
def test_every_window_has_the_features_of_its_own_samples(name):
    y = SPEECH[name]
    y = steps_of_16_bits(y) if name != "of any float" else y.astype(np.float32)
    utterance, at = GrowingUtterance(PARAMS), 0
    for stop in range(8_000, y.size + 1, 8_000):
        utterance.extend(y[at:stop])
        at, start = stop, max(0, stop - 48_000)
        assert_alike(utterance.features_of(start, stop), batch(y[start:stop]))
    assert_alike(utterance.features_of(0, y.size), batch(y))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_window_of_any_chunks_is_as_of_its_samples_alone(data):
    y = steps_of_16_bits(SPEECH[data.draw(st.sampled_from(sorted(SPEECH)))])
    cuts = sorted(data.draw(st.lists(st.integers(1, y.size), max_size=8)))
    utterance = GrowingUtterance(PARAMS)
    for first, last in zip([0, *cuts], [*cuts, y.size], strict=True):
        utterance.extend(y[first:last])
        if data.draw(st.booleans()) and last >= PARAMS.n_fft:
            utterance.features_of(0, last)
    # Also off the grid, where nothing is shared.
    start = data.draw(st.integers(0, 500)) * HOP + data.draw(st.sampled_from([0, 0, 0, 7]))
    stop = data.draw(st.integers(start + 4 * PARAMS.n_fft, y.size))
    if audible(y[start:stop], sr=SR, params=PARAMS).any():
        assert_alike(utterance.features_of(start, stop), batch(y[start:stop]))


def test_chunks_change_no_bit():
    y = steps_of_16_bits(talk())
    whole, pieces = GrowingUtterance(PARAMS), GrowingUtterance(PARAMS)
    for start in range(0, y.size, 777):
        pieces.extend(y[start : start + 777])
    whole.extend(y)
    one, other = (u.features_of(16_000, 64_000) for u in (whole, pieces))
    assert np.array_equal(one.functionals, other.functionals)
    assert np.array_equal(one.log_mel, other.log_mel)
    assert np.array_equal(whole.audible, audible(y, sr=SR, params=PARAMS))


@pytest.mark.parametrize("sr", [8_000, 16_000, 48_000])
def test_after_so_long_the_filter_has_forgotten_where_it_began(sr):
    """A step of full scale before the window, the worst there can be."""
    params = FeatureParams().at(sr)
    length = forgetting(sr=sr, cutoff_hz=params.high_pass_hz, share=REMEMBERED)
    y = np.concatenate([np.full(sr, -1.0), np.zeros(sr)]) + np.r_[noise(seconds=2 * sr / SR)] * 0.1
    running = above_rumble(y.astype(np.float64) - y[0], params=params)[sr:]
    fresh = above_rumble(y[sr:].astype(np.float64) - y[sr], params=params)
    apart = np.abs(running.astype(np.float64) - fresh)
    rounding = np.finfo(np.float32).eps * np.abs(fresh).max()
    assert apart[length:].max() <= rounding
    # Not far longer than needed.
    assert apart[: length // 3].max() > 100 * rounding
    assert length < 0.3 * sr


@pytest.mark.parametrize(
    "change",
    [
        {"high_pass_hz": None},
        {"trim_db": None},
        {"level_db": None},
        {"top_db": None, "contrast_top_db": None},
        {"hop_length": 80},
        {"n_fft": 512, "f0_min": 80.0, "n_mels": 40, "n_mfcc": 13},
    ],
    ids=str,
)
def test_other_parameters_are_kept_to(change):
    params = FeatureParams(**change)
    assert is_incremental(params, sr=SR)
    y = steps_of_16_bits(talk())
    utterance = GrowingUtterance(params)
    utterance.extend(y)
    for start, stop in ((0, 96_000), (24_000, 72_000), (8_000, 8_000 + 30 * 1024)):
        assert_alike(utterance.features_of(start, stop), batch(y[start:stop], params))


@pytest.mark.parametrize(
    "params",
    [
        FeatureParams(sr=8_000, n_fft=512, n_contrast=5),
        FeatureParams(functionals="egemaps"),
        FeatureParams(log_mel="byol_s"),
        FeatureParams(hop_length=128),
        FeatureParams(trim_margin_seconds=0.055),
    ],
    ids=["another rate", "openSMILE", "BYOL-S", "a hop off the grid", "a margin off the grid"],
)
def test_where_frames_cannot_be_shared_is_told(params):
    assert not is_incremental(params, sr=SR)


@pytest.mark.parametrize("name", ["silence", "offset"])
def test_a_window_of_silence_is_refused_as_by_itself(name):
    utterance = GrowingUtterance(PARAMS)
    utterance.extend(talk(1.0))
    utterance.extend(SOUNDS[name](4.0).astype(np.float32))
    with pytest.raises(EmptyAudio, match="digital silence"):
        utterance.features_of(32_000, 80_000)
    with pytest.raises(AudioError, match="at least"):
        utterance.features_of(32_000, 32_500)
    with pytest.raises(EmptyAudio, match="no samples"):
        utterance.features_of(32_000, 32_000)


def test_actors_speech_is_measured_alike(real_corpora):
    files = sorted((real_corpora / "ravdess").rglob("*.flac"))[::240]
    clips = [soundfile.read(file, dtype="float32") for file in files]
    y = np.concatenate([resample(mono(y), sr_in=sr, sr_out=SR) for y, sr in clips])
    y = steps_of_16_bits(y)
    utterance = GrowingUtterance(PARAMS)
    utterance.extend(y)
    for stop in range(48_000, y.size, 24_000):
        assert_alike(utterance.features_of(stop - 48_000, stop), batch(y[stop - 48_000 : stop]))
