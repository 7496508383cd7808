"""A voice that is changed and put together again has what was asked for, and the rest as before."""

import numpy as np
import pytest
import pyworld

from ser.explanation.counterfactual.changes import DIMENSIONS, Recorded, of_recording
from ser.explanation.counterfactual.voice import AnalysedVoice
from support.signals import SR, noise, voice


def analysed(y) -> AnalysedVoice:
    return AnalysedVoice.of(y, sr=SR, f0_min=65, f0_max=500)


@pytest.fixture(scope="module")
def spoken():
    return voice(seconds=1.0, f0=150, glide=30)


@pytest.fixture(scope="module")
def recorded(spoken):
    return Recorded(spoken, SR, analysed(spoken))


def pitch(y) -> np.ndarray:
    """log2 of F0 in voiced frames, the least certain ones left out; by DIO, not by Harvest."""
    f0, _ = pyworld.dio(y.astype(float), SR, f0_floor=65, f0_ceil=500)
    values = np.log2(f0[f0 > 0])
    low, high = np.percentile(values, [5, 95])
    return values[(values >= low) & (values <= high)]


def test_unchanged_it_keeps_pitch_length_and_level(recorded, spoken):
    again = recorded.voice.spoken()
    assert again.size == spoken.size
    assert again.dtype == np.float32
    assert pitch(again).mean() == pytest.approx(pitch(spoken).mean(), abs=0.02)
    assert 20 * np.log10(again.std() / spoken.std()) == pytest.approx(0, abs=2)


def test_semitones_raise_the_mean_and_leave_the_range(recorded, spoken):
    changed, before = pitch(recorded.voice.spoken(semitones=4)), pitch(spoken)
    assert changed.mean() - before.mean() == pytest.approx(4 / 12, abs=0.03)
    assert changed.std() == pytest.approx(before.std(), rel=0.25)


def test_the_range_is_scaled_about_the_mean(recorded, spoken):
    before = pitch(spoken)
    wide = pitch(recorded.voice.spoken(f0_range=1.8))
    assert pitch(recorded.voice.spoken(f0_range=0.0)).std() < 0.1 * before.std()
    assert wide.std() == pytest.approx(1.8 * before.std(), rel=0.25)
    assert wide.mean() == pytest.approx(before.mean(), abs=0.05)


def test_the_rate_changes_the_length_and_not_the_pitch(recorded, spoken):
    slow = recorded.voice.spoken(rate=0.5)
    assert slow.size == 2 * spoken.size
    assert pitch(slow).mean() == pytest.approx(pitch(spoken).mean(), abs=0.03)


def test_noise_has_no_f0():
    assert analysed(noise(seconds=1.0)).mean_f0 is None


def test_every_change_by_nothing_is_next_to_nothing(recorded):
    for dimension in DIMENSIONS:
        unchanged = recorded.voice.spoken() if dimension.by_voice else recorded.y
        assert np.allclose(dimension.change(recorded, 0.0), unchanged, atol=1e-4), dimension.name


def test_the_level_is_raised_no_farther_than_there_is_room(recorded, spoken):
    (level,) = (one for one in of_recording(recorded) if one.name == "level")
    loudest = level.change(recorded, level.most)
    assert 0.8 < np.abs(loudest).max() < 1
    full = Recorded(spoken / np.abs(spoken).max(), SR, recorded.voice)
    (level,) = (one for one in of_recording(full) if one.name == "level")
    assert level.amounts(1) == []


def test_the_tilt_keeps_the_level(recorded):
    (tilt,) = (one for one in DIMENSIONS if one.name == "spectral tilt")
    for amount in (-6.0, 6.0):
        changed = tilt.change(recorded, amount)
        power, before = (np.square(y, dtype=float).mean() for y in (changed, recorded.y))
        assert power == pytest.approx(before, rel=1e-3)


def test_steps_end_at_the_bounds():
    for dimension in DIMENSIONS:
        assert dimension.amounts(1)[-1] == dimension.most
        assert dimension.amounts(-1)[-1] == dimension.least
        assert dimension.amounts(1)[0] == dimension.step
