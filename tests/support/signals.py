"""Small signals that tests share."""

import numpy as np
from scipy.signal import lfilter

SR = 16_000


def tone(f0: float, *, seconds: float = 0.5, sr: int = SR, level: float = 0.3) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    return (level * np.sin(2 * np.pi * f0 * t)).astype(np.float32)


def noise(*, seconds: float = 0.5, level: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(round(seconds * SR))).astype(np.float32)


def voice(*, seconds: float = 0.8, f0: float = 140.0, glide: float = 40.0, seed: int = 0):
    """Pulses of gliding pitch through three formants, a pause, breath noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SR)
    pitch = f0 + glide * np.linspace(-1, 1, n)
    phase = np.cumsum(pitch) / SR
    source = np.diff(np.floor(phase), prepend=0.0) + 0.003 * rng.standard_normal(n)
    for formant, width in ((600, 80), (1400, 100), (2600, 150)):
        radius = np.exp(-np.pi * width / SR)
        source = lfilter(
            [1.0], [1, -2 * radius * np.cos(2 * np.pi * formant / SR), radius**2], source
        )
    source[n // 2 : n // 2 + n // 10] *= 0.001
    return (0.5 * source / np.abs(source).max()).astype(np.float32)
