"""Changes of time: cropped edges, silence around, another speed, lost packets. Pure."""

from __future__ import annotations

import numpy as np
import soxr

from ser.errors import AudioError

#: What a packet of telephony holds; two voices fade into each other over as much of it.
PACKET_SECONDS, FADE_SECONDS = 0.020, 0.002
#: Packets that are lost one after the other, on average.
BURST = 2.0


def cropped(
    y: np.ndarray, *, sr: int, start_seconds: float = 0.0, end_seconds: float = 0.0
) -> np.ndarray:
    """A view of y (n_samples,) without so much of its beginning and end; half of it is kept."""
    start, end = (round(seconds * sr) for seconds in (start_seconds, end_seconds))
    if start + end > y.size / 2:
        start, end = min(start, y.size // 4), min(end, y.size // 4)
    return y[start : y.size - end]


def padded(
    y: np.ndarray, *, sr: int, start_seconds: float = 0.0, end_seconds: float = 0.0
) -> np.ndarray:
    """y (n_samples,) with digital silence before and behind: float32."""
    start, end = (round(seconds * sr) for seconds in (start_seconds, end_seconds))
    return np.pad(np.asarray(y, dtype=np.float32), (start, end))


def sped(y: np.ndarray, *, speed: float) -> np.ndarray:
    """y (n_samples,) played `speed` times as fast, pitch and all, at the same rate: float32."""
    if speed <= 0:
        raise AudioError(f"is to be played {speed:g} times as fast", "more than 0")
    return np.asarray(soxr.resample(y, speed, 1.0, quality="HQ"), dtype=np.float32)


def with_losses(
    y: np.ndarray,
    *,
    sr: int,
    share: float,
    rng: np.random.Generator,
    packet_seconds: float = PACKET_SECONDS,
) -> np.ndarray:
    """y (n_samples,) of which that share of packets never came: silence in their place, float32.

    Losses come in bursts (Gilbert 1960), two packets long on average; the first packet arrives.
    Edges fade within 2 ms, as a player's do.
    """
    if not 0 <= share < 1:
        raise AudioError(f"is to lose {share:.0%} of its packets", "0 to 99 %")
    size = max(1, round(packet_seconds * sr))
    count = -(-y.size // size)
    # From a packet that came to one that is lost; and back.
    fails, recovers = share / (BURST * (1 - share)), 1 / BURST
    lost, chances = np.zeros(count, dtype=bool), rng.uniform(size=count)
    for place in range(1, count):
        lost[place] = chances[place] >= recovers if lost[place - 1] else chances[place] < fails
    gain = np.repeat(1.0 - lost, size)[: y.size]
    fade = max(1, round(FADE_SECONDS * sr))
    gain = np.convolve(np.pad(gain, fade, mode="edge"), np.full(fade, 1 / fade), mode="same")
    return np.asarray(y * gain[fade : fade + y.size], dtype=np.float32)
