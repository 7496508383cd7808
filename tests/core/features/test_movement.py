import numpy as np
import pytest
import scipy.linalg

from ser.core.features.modulation import FRAMES, modulation, modulation_names
from ser.core.features.movement import FLOOR, movement, movement_names


def mfcc(n_frames: int = 120, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, size=(n_frames, 20)).astype(np.float32)


@pytest.mark.parametrize("n_mfcc", [2, 10, 20])
def test_every_entry_has_a_name_of_its_own(n_mfcc):
    names = movement_names(n_mfcc)
    assert len(set(names)) == len(names) == len(movement(mfcc()[:, :n_mfcc]))


def test_movement_is_the_logarithm_of_the_covariance():
    """As scipy has it, of the coefficients and three derivatives."""
    x = mfcc(200)[:, :3]
    found = np.zeros((12, 12))
    found[np.triu_indices(12)] = movement(x)
    found = np.where(np.eye(12) > 0, found, found / np.sqrt(2))
    found = found + np.triu(found, 1).T
    covariance = scipy.linalg.expm(found) - FLOOR * np.eye(12)
    np.testing.assert_allclose(covariance[:3, :3], np.cov(x.T / 10, bias=True), rtol=1e-4)


def test_movement_knows_no_mean():
    x = mfcc()
    np.testing.assert_allclose(movement(x + 37.0), movement(x), atol=1e-3)


@pytest.mark.parametrize("n_frames", [1, 2, 8, 9, 10, 400])
def test_every_length_and_stillness_are_finite(n_frames):
    assert np.isfinite(movement(mfcc(n_frames))).all()
    assert np.isfinite(movement(np.zeros((n_frames, 20)))).all()
    assert np.isfinite(modulation(np.full((n_frames, 64), -80.0))).all()


@pytest.mark.parametrize("n_mels", [8, 16, 40, 64])
def test_every_wave_has_a_name_of_its_own(n_mels):
    names = modulation_names(n_mels)
    assert len(set(names)) == len(names) == len(modulation(np.zeros((50, n_mels))))


def loudest(log_mel: np.ndarray) -> str:
    return modulation_names(log_mel.shape[1])[int(np.argmax(modulation(log_mel)))]


@pytest.mark.parametrize(("over_time", "over_mel"), [(2, 0), (4, 1), (4, -1), (1, 3)])
def test_a_wave_is_found_where_it_belongs(over_time, over_mel):
    t, m = np.arange(3 * FRAMES)[:, None], np.arange(16)[None]
    wave = 10 * np.cos(2 * np.pi * (over_time * t / 32 + over_mel * m / 16))
    assert loudest(wave) == f"modulation_00_t{over_time}_m{over_mel}"


def test_modulation_knows_neither_level_nor_phase():
    t = np.arange(320)[:, None]
    wave = np.broadcast_to(10 * np.cos(2 * np.pi * 4 * t / 32), (320, 32))
    np.testing.assert_allclose(modulation(wave + 50), modulation(wave), atol=1e-3)
    here, later = modulation(wave[:-8]), modulation(wave[3:-5])
    # What little lies elsewhere leaks there by the window.
    strong = here > here.max() - 3
    assert 0 < strong.sum() < 50
    np.testing.assert_allclose(later[strong], here[strong], atol=0.1)
