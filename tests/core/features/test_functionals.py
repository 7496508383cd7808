import numpy as np
import pytest

from ser.core.features.functionals import functional_names, functionals

NAMES = ("mfcc_00", "rms", "f0")


@pytest.fixture
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3))
    values[:, 2] = np.where(np.arange(50) % 2, 100.0 + np.arange(50), 0.0)
    return values


def by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip(functional_names(NAMES), functionals(values, names=NAMES), strict=True))


def test_every_functional_has_a_name_of_its_own():
    names = functional_names(NAMES)
    assert len(set(names)) == len(names)
    assert {"mfcc_00_mean", "rms_std", "f0_p95", "voiced_fraction"} <= set(names)


def test_functionals_equal_numpy(frames):
    found = by_name(frames)
    assert found["mfcc_00_mean"] == pytest.approx(frames[:, 0].mean(), rel=1e-5)
    assert found["rms_std"] == pytest.approx(frames[:, 1].std(), rel=1e-5)
    assert found["rms_p95"] == pytest.approx(np.percentile(frames[:, 1], 95), rel=1e-5)


def test_f0_counts_voiced_frames_only(frames):
    found = by_name(frames)
    voiced = frames[frames[:, 2] > 0, 2]
    assert found["f0_mean"] == pytest.approx(voiced.mean(), rel=1e-5)
    assert found["f0_p05"] == pytest.approx(np.percentile(voiced, 5), rel=1e-5)
    assert found["f0_slope"] == pytest.approx(1.0, rel=1e-4)
    assert found["voiced_fraction"] == pytest.approx(0.5)


def test_an_unvoiced_utterance_has_finite_functionals(frames):
    frames[:, 2] = 0
    values = functionals(frames, names=NAMES)
    assert np.isfinite(values).all()
    assert by_name(frames)["f0_mean"] == 0


def test_one_voiced_frame_has_no_slope(frames):
    frames[:, 2] = 0
    frames[7, 2] = 120
    assert by_name(frames)["f0_slope"] == 0
