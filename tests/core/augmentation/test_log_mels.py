import numpy as np
import pytest

from ser.core.augmentation.log_mels import augment, cropped, floored, masked, resampled
from ser.params import LogMelAugmentParams

OFF = LogMelAugmentParams(stretch=0, warp=0, shift=0, tilt_db=0, masks=0, mixup=0)


@pytest.fixture
def log_mel() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(-40, 10, size=(120, 64)).astype(np.float16)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_everything_off_changes_nothing(log_mel):
    assert np.array_equal(augment(log_mel, params=OFF, rng=rng()), log_mel)


def test_the_same_chance_gives_the_same_change(log_mel):
    params = LogMelAugmentParams()
    first, again, other = (augment(log_mel, params=params, rng=rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_the_stored_log_mel_stays_as_it_is(log_mel):
    before = log_mel.copy()
    augment(log_mel, params=LogMelAugmentParams(), rng=rng())
    assert np.array_equal(log_mel, before)


def test_stretch_changes_length_within_its_bounds(log_mel):
    params = OFF.model_copy(update={"stretch": 0.2})
    lengths = [len(augment(log_mel, params=params, rng=rng(s))) for s in range(50)]
    assert 120 / 1.2 - 1 <= min(lengths) < 115
    assert 125 < max(lengths) <= 120 * 1.2 + 1


def test_a_shift_moves_the_bands():
    x = np.zeros((5, 64), np.float32)
    x[:, 20] = 1
    assert resampled(x, speed=1, scale=1, shift=2).argmax(axis=1).tolist() == [22] * 5
    assert resampled(x, speed=1, scale=1.5, shift=0).argmax(axis=1).tolist() == [30] * 5


def test_twice_the_speed_keeps_every_other_frame():
    x = np.arange(10, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    assert resampled(x, speed=2.0, scale=1, shift=0)[:, 0].tolist() == [0, 2, 4, 6, 8]


def test_masks_cover_at_most_what_they_may():
    for seed in range(30):
        x = rng(seed).normal(size=(100, 64))
        changed = masked(x.copy(), masks=1, bands=8, frames=50, rng=rng(seed)) != x
        assert changed.all(axis=0).sum() <= 8
        assert changed.all(axis=1).sum() <= 100 / 5


def test_a_crop_is_a_stretch_of_the_whole():
    x = np.arange(100)[:, None]
    starts = {int(cropped(x, frames=60, rng=rng(s))[0, 0]) for s in range(200)}
    assert min(starts) == 0
    assert max(starts) == 40
    assert np.array_equal(cropped(x, frames=100, rng=rng()), x)
    assert np.array_equal(cropped(x, frames=101, rng=rng()), x)


def test_steady_noise_adds_its_power():
    x = np.array([[0.0, -20.0, -60.0]], np.float32)
    assert floored(x, below_db=20.0) == pytest.approx(
        10 * np.log10(10 ** (x / 10) + 10**-2.0), abs=1e-4
    )
    assert floored(x, below_db=60.0).dtype == np.float32


def test_noise_of_a_slope_is_louder_above():
    silent = np.full((4, 64), -100.0, np.float32)
    silent[0, 0] = 0
    noise = floored(silent, below_db=40.0, slope_db=10.0)[1]
    assert noise[-1] - noise[0] == pytest.approx(10, abs=0.01)
    assert noise.mean() == pytest.approx(-40, abs=0.01)
