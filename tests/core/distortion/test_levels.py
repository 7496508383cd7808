from __future__ import annotations

import numpy as np
import pytest

from ser.core.distortion.levels import clipped, compressed, gained, rumble, tone
from ser.core.uncertainty.abstention import clipped_share
from ser.errors import AudioError

SR = 16_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def band_db(y: np.ndarray, low: float, high: float) -> float:
    """Energy of y between two frequencies, dB of all of it."""
    power, hertz = np.abs(np.fft.rfft(y)) ** 2, np.fft.rfftfreq(y.size, 1 / SR)
    return float(10 * np.log10(power[(hertz >= low) & (hertz < high)].sum() / power.sum()))


def test_a_gain_changes_the_level_and_nothing_else(rng):
    y = rng.standard_normal(1000).astype(np.float32)
    louder = gained(y, db=40)
    assert np.corrcoef(louder, y)[0, 1] == pytest.approx(1)
    assert np.abs(louder).max() == pytest.approx(100 * np.abs(y).max()), "nothing is clipped"


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
def test_the_share_that_is_asked_for_is_clipped(rng, share):
    y = rng.standard_normal(20_000).astype(np.float32)
    cut = clipped(y, share=share)
    height = np.abs(cut).max()
    assert np.mean(np.abs(y) > height) == pytest.approx(share, abs=2e-4)
    inside = np.abs(y) < height
    assert np.array_equal(cut[inside], y[inside])


def test_clipped_speech_is_found_by_what_looks_for_it(rng):
    time = np.arange(SR) / SR
    y = (np.sin(2 * np.pi * 400 * time) * np.sin(2 * np.pi * 2 * time)).astype(np.float32)
    assert clipped_share(y) == 0
    assert clipped_share(clipped(y, share=0.1)) > 0.05


def test_silence_and_no_samples_stay_as_they_are():
    for y in (np.zeros(100, dtype=np.float32), np.zeros(0, dtype=np.float32)):
        assert np.array_equal(clipped(y, share=0.1), y)
        assert np.array_equal(compressed(y, sr=SR, threshold_db=-20, ratio=4), y)


def test_rumble_lies_below_its_cutoff_and_starts_settled(rng):
    y = rumble(10 * SR, sr=SR, rng=rng)
    assert band_db(y, 0, 60) > -0.5
    assert band_db(y, 200, SR / 2) < -25
    assert y[:SR].std() == pytest.approx(y.std(), rel=0.5)


def test_a_tone_has_one_frequency(rng):
    assert band_db(tone(SR, sr=SR, hz=6000, rng=rng), 5990, 6010) > -0.01
    with pytest.raises(AudioError, match="below half"):
        tone(SR, sr=SR, hz=8000, rng=rng)


def test_a_compressor_brings_loud_and_soft_nearer_to_each_other():
    time = np.arange(2 * SR) / SR
    loud, soft = (time < 1), (time >= 1)
    y = (np.sin(2 * np.pi * 300 * time) * np.where(loud, 1.0, 0.1)).astype(np.float32)
    squeezed = compressed(y, sr=SR, threshold_db=-20, ratio=5)

    def level_db(part: np.ndarray) -> float:
        return float(20 * np.log10(part.std()))

    before = level_db(y[loud]) - level_db(y[soft])
    after = level_db(squeezed[loud]) - level_db(squeezed[soft])
    assert before == pytest.approx(20, abs=0.1)
    assert 2 < after < 10
    assert np.array_equal(y, compressed(y, sr=SR, threshold_db=0, ratio=5))
