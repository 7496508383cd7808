"""What is recorded where nobody speaks, and speech amid it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from support.signals import SR, noise, tone


def pink(n: int, rng: np.random.Generator) -> np.ndarray:
    """Noise (n,) whose power falls by 3 dB an octave, of unit deviation."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    y = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(spectrum.size), 1)), n)
    return y / y.std()


def at_snr(y: np.ndarray, sound: np.ndarray, *, snr_db: float) -> np.ndarray:
    """y (n,) amid a sound (n,) that lies `snr_db` below it."""
    noisy = y + sound / sound.std() * y.std() * 10 ** (-snr_db / 20)
    return noisy.astype(np.float32)


def _pink(seconds: float) -> np.ndarray:
    return 0.1 * pink(round(seconds * SR), np.random.default_rng(1))


def _hum(seconds: float) -> np.ndarray:
    return sum(tone(50 * k, seconds=seconds, level=0.1 / k) for k in range(1, 12))


def _clicks(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(2)
    y = np.zeros(round(seconds * SR))
    y[rng.integers(0, y.size, 12)] = rng.uniform(-1, 1, 12)
    return y


def _beeps(seconds: float) -> np.ndarray:
    y = tone(620, seconds=seconds)
    return y * (np.arange(y.size) // (SR // 4) % 2)


def _gusts(seconds: float) -> np.ndarray:
    y = _pink(seconds)
    return y * (0.2 + np.abs(np.sin(2 * np.pi * 0.7 * np.arange(y.size) / SR)))


#: Name -> samples of so many seconds.
SOUNDS: dict[str, Callable[[float], np.ndarray]] = {
    "silence": lambda seconds: np.zeros(round(seconds * SR)),
    "offset": lambda seconds: np.full(round(seconds * SR), 0.1),
    "white noise": lambda seconds: noise(seconds=seconds),
    "faint noise": lambda seconds: noise(seconds=seconds, level=1e-4),
    "pink noise": _pink,
    "gusts": _gusts,
    "hum": _hum,
    "hum in noise": lambda seconds: _hum(seconds) + noise(seconds=seconds, level=0.03),
    "clicks": _clicks,
    "a tone": lambda seconds: tone(440, seconds=seconds),
    "beeps": _beeps,
}
