"""What is measured of a recording is what was put into it."""

import numpy as np
import pytest

from ser.core.corpus.measures import MOST_SNR_DB, measure, snr_db
from ser.errors import AudioError
from ser.params import FeatureParams
from support.signals import SR, noise, tone, voice

PARAMS = FeatureParams()


def words(*, seed: int = 0) -> np.ndarray:
    """Two words with pauses around them, (n_samples,)."""
    pause = np.zeros(SR // 2, np.float32)
    return np.concatenate([pause, voice(seed=seed), pause, voice(seed=seed + 1), pause])


@pytest.mark.parametrize("snr", [5, 15, 25])
def test_the_snr_is_that_of_the_noise_that_was_added(snr):
    y = words()
    loud = np.square(y[np.abs(y) > 0]).mean()
    noisy = y + np.sqrt(loud) * 10 ** (-snr / 20) * noise(seconds=y.size / SR, level=1.0)
    assert snr_db(noisy, sr=SR) == pytest.approx(snr, abs=3)


def test_digital_silence_around_a_word_is_no_low_noise():
    y = words() + noise(seconds=words().size / SR, level=0.01)
    edited = np.concatenate([np.zeros(SR), y, np.zeros(SR)])
    assert snr_db(edited, sr=SR) == pytest.approx(snr_db(y, sr=SR), abs=1)
    assert np.isnan(snr_db(np.zeros(SR), sr=SR))
    assert snr_db(words(), sr=SR) <= MOST_SNR_DB


def test_level_peak_and_f0_are_those_of_the_tone():
    y = tone(200, seconds=1.0, level=0.5)
    found = measure(y, sr=SR, params=PARAMS)
    assert found.level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.2)
    assert found.peak_db == pytest.approx(20 * np.log10(0.5), abs=0.1)
    assert found.f0_median == pytest.approx(200, rel=0.01)
    assert found.f0_range < 0.5
    assert found.voiced_share > 0.9


def test_a_glide_has_its_range_and_noise_has_no_pitch():
    seconds, octave = 2.0, 12
    rate = np.exp2(np.linspace(0, 1, round(seconds * SR)))
    y = (0.4 * np.sin(2 * np.pi * np.cumsum(120 * rate) / SR)).astype(np.float32)
    # The 5th to the 95th percentile hold nine tenths of it.
    assert measure(y, sr=SR, params=PARAMS).f0_range == pytest.approx(0.9 * octave, abs=0.5)
    hiss = measure(noise(), sr=SR, params=PARAMS)
    assert hiss.voiced_share < 0.1


def test_clipping_is_measured_before_resampling():
    y = np.clip(4 * tone(150, seconds=1.0, sr=48_000), -0.5, 0.5)
    assert measure(y, sr=48_000, params=PARAMS).clipped_share > 0.4
    assert measure(voice(), sr=SR, params=PARAMS).clipped_share < 0.01


def test_what_has_no_window_is_refused():
    with pytest.raises(AudioError, match="at least"):
        measure(tone(200, seconds=0.02), sr=SR, params=PARAMS)
