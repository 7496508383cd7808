"""Changes of level: gain, clipping, dynamics; rumble and a tone, to be mixed with speech. Pure."""

from __future__ import annotations

import numpy as np
import scipy  # A submodule is loaded at its first use.

from ser.errors import AudioError

#: Seconds over which a compressor follows a level that rises, and one that falls.
ATTACK_SECONDS, RELEASE_SECONDS = 0.010, 0.020


def gained(y: np.ndarray, *, db: float) -> np.ndarray:
    """y (n_samples,) louder or softer by so many dB: float32, not clipped.

    >>> gained(np.array([0.5, -0.25], dtype=np.float32), db=-20)
    array([ 0.05 , -0.025], dtype=float32)
    """
    return np.asarray(y * np.float32(10 ** (db / 20)), dtype=np.float32)


def clipped(y: np.ndarray, *, share: float) -> np.ndarray:
    """y (n_samples,) whose loudest samples, that share of all, are cut to one height: float32.

    >>> clipped(np.array([0.1, -0.4, 0.2, 0.9], dtype=np.float32), share=0.5)
    array([ 0.1, -0.2,  0.2,  0.2], dtype=float32)
    """
    if not 0 <= share < 1:
        raise AudioError(f"is to be clipped in {share:.0%} of its samples", "0 to 99 %")
    count = round(share * y.size)
    if count == 0:
        return np.asarray(y, dtype=np.float32)
    height = np.partition(np.abs(y), y.size - count - 1)[y.size - count - 1]
    return np.asarray(np.clip(y, -height, height), dtype=np.float32)


def rumble(
    n: int, *, sr: int, rng: np.random.Generator, cutoff_hz: float = 30.0, order: int = 2
) -> np.ndarray:
    """Noise (n,) below `cutoff_hz`, as of wind, traffic or a hand on the microphone: float32.

    order : of the Butterworth filter: 6 dB an octave each, so that some is left above.
    """
    # The filter settles before the first sample that is kept.
    lead = round(4 * sr / cutoff_hz)
    sos = scipy.signal.butter(order, cutoff_hz, btype="lowpass", output="sos", fs=sr)
    noise = scipy.signal.sosfilt(sos, rng.standard_normal(n + lead))[lead:]
    return np.asarray(noise, dtype=np.float32)


def tone(n: int, *, sr: int, hz: float, rng: np.random.Generator) -> np.ndarray:
    """A sine (n,) of that frequency and a random phase, amplitude 1: float32."""
    if not 0 < hz < sr / 2:
        raise AudioError(f"is to have a tone of {hz:g} Hz at {sr} Hz", "one below half of the rate")
    phase = rng.uniform(0, 2 * np.pi)
    return np.sin(2 * np.pi * hz * np.arange(n) / sr + phase).astype(np.float32)


def compressed(y: np.ndarray, *, sr: int, threshold_db: float, ratio: float) -> np.ndarray:
    """y (n_samples,) through a compressor of its dynamics, as in a cheap telephone: float32.

    threshold_db : dB re y's peak from which it works; ratio : dB in for one dB out above it.
    """
    peak = float(np.abs(y).max(initial=0.0))
    if ratio < 1:
        raise AudioError(f"is to be compressed {ratio:g} to 1", "a ratio of 1 or more")
    if peak == 0:
        return np.asarray(y, dtype=np.float32)
    # Rises within the attack, and falls within the release: two smoothings, the louder counts.
    level = np.abs(y) / peak
    fast, slow = (
        scipy.signal.lfilter([1 - pole], [1, -pole], level)
        for pole in np.exp(-1 / (np.array([ATTACK_SECONDS, RELEASE_SECONDS]) * sr))
    )
    over = np.maximum(20 * np.log10(np.maximum(np.maximum(fast, slow), 1e-6)) - threshold_db, 0.0)
    return np.asarray(y * 10 ** (-over * (1 - 1 / ratio) / 20), dtype=np.float32)
