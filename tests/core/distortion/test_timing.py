from __future__ import annotations

import numpy as np
import pytest

from ser.core.distortion.timing import PACKET_SECONDS, cropped, padded, sped, with_losses
from ser.errors import AudioError

SR = 16_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_edges_are_cropped_and_silence_is_put_around():
    y = np.arange(1, 1001, dtype=np.float32)
    assert np.array_equal(cropped(y, sr=1000, start_seconds=0.1, end_seconds=0.2), y[100:800])
    around = padded(y, sr=1000, start_seconds=0.1, end_seconds=0.2)
    assert np.array_equal(around[100:1100], y)
    assert around.size == 1300
    assert not around[:100].any()
    assert not around[1100:].any()


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_half_of_a_short_recording_is_kept(n):
    y = np.ones(n, dtype=np.float32)
    assert cropped(y, sr=SR, start_seconds=1, end_seconds=1).size >= n / 2


def test_a_faster_recording_is_shorter_and_higher():
    time = np.arange(SR) / SR
    y = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    fast = sped(y, speed=1.1)
    assert fast.size == pytest.approx(SR / 1.1, abs=2)
    peak = np.abs(np.fft.rfft(fast * np.hanning(fast.size))).argmax() * SR / fast.size
    assert peak == pytest.approx(484, abs=2)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_as_many_packets_are_lost_as_asked_for_in_bursts(rng, share):
    size = round(PACKET_SECONDS * SR)
    y = with_losses(np.ones(20_000 * size, dtype=np.float32), sr=SR, share=share, rng=rng)
    lost = y.reshape(-1, size)[:, size // 2] == 0
    assert lost.mean() == pytest.approx(share, rel=0.25)
    bursts = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]]).astype(int)) == 1)
    assert lost.sum() / bursts.size == pytest.approx(2, rel=0.25)


def test_what_came_is_as_it_was_and_nothing_clicks(rng):
    time = np.arange(2 * SR) / SR
    y = np.sin(2 * np.pi * 200 * time).astype(np.float32)
    heard = with_losses(y, sr=SR, share=0.1, rng=rng)
    assert heard.size == y.size
    assert np.mean(heard == y) > 0.8
    assert np.abs(np.diff(heard)).max() < 0.15
    assert np.array_equal(with_losses(y, sr=SR, share=0, rng=rng), y)


def test_impossible_changes_are_refused(rng):
    with pytest.raises(AudioError, match="times as fast"):
        sped(np.ones(10, dtype=np.float32), speed=0)
    with pytest.raises(AudioError, match="packets"):
        with_losses(np.ones(10, dtype=np.float32), sr=SR, share=1, rng=rng)
