"""Whether two recordings are one, decided by their samples at the lag that fits best.

One correlation is not enough. Plain waves below 1.2 kHz correlate at up to 0.7 for two sustained
vowels of one voice, whitened waves for two utterances in front of the same noise. Codecs,
telephones, levels, padding and trimming leave both high, so the lower one decides.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy

#: Rate (Hz) of the samples that are compared.
SR = 8_000
#: Bands (Hz) of the plain and of the whitened wave. A telephone passes both; above 2 kHz codecs
#: replace speech by noise.
PLAIN_BAND, WHITE_BAND = (200.0, 1200.0), (300.0, 2000.0)
#: Hz over which the spectrum that whitens a wave is smoothed, and its floor as a share of the peak.
SMOOTH_HZ, FLOOR = 100.0, 1e-4
#: Share of the shorter recording, and of one recording's energy, that must overlap.
OVERLAP = 0.5
#: Seconds that the best lags of the two correlations may lie apart: filters shift them.
LAG_SECONDS = 0.005
#: Likeness from which two recordings are one (`python -m benchmarks.copies`) if they hold at least
#: so many seconds of sound; with less, more is needed, by the square root, up to the limit.
SAME, SAME_SECONDS, SAME_LIMIT = 0.4, 1.0, 0.8
#: Seconds of a block, and dB below the loudest one down to which blocks are sound.
BLOCK_SECONDS, SOUND_DB = 0.02, 30.0


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """The lower of two correlations (0 to 1) of a (n_samples,) and b (m_samples,), at SR.

    Level, polarity and what only one of them has at its ends make no difference.
    """
    plain, lag = _correlation(_plain(a), _plain(b))
    best = int(plain.argmax())
    whitened, _ = _correlation(_whitened(a), _whitened(b))
    near = np.abs(lag - lag[best]) <= LAG_SECONDS * SR
    return float(min(plain[best], whitened[near].max()))


def needed(a: np.ndarray, b: np.ndarray) -> float:
    """The likeness that makes a (n_samples,) and b (m_samples,), at SR, one recording."""
    shorter = max(min(_sound_seconds(a), _sound_seconds(b)), BLOCK_SECONDS)
    return min(SAME * max(1.0, np.sqrt(SAME_SECONDS / shorter)), SAME_LIMIT)


def _sound_seconds(y: np.ndarray) -> float:
    """Seconds of y (n_samples,) that are not silence."""
    block = round(BLOCK_SECONDS * SR)
    blocks = y[: len(y) // block * block].reshape(-1, block)
    energy = np.einsum("ij,ij->i", blocks, blocks)
    sound = energy > energy.max(initial=0.0) * 10 ** (-SOUND_DB / 10)
    return float(np.count_nonzero(sound)) * BLOCK_SECONDS


def _correlation(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitude of the correlation of what overlaps at each lag of b in a, and the lags."""
    lag = np.arange(1 - len(b), len(a))
    product = np.abs(scipy.signal.correlate(a, b, method="fft"))
    energy_a, energy_b = (np.concatenate([[0.0], np.cumsum(np.square(y))]) for y in (a, b))
    first, last = np.maximum(lag, 0), np.minimum(len(a), len(b) + lag)
    part_a = energy_a[last] - energy_a[first]
    part_b = energy_b[last - lag] - energy_b[first - lag]
    most = (part_a >= OVERLAP * energy_a[-1]) | (part_b >= OVERLAP * energy_b[-1])
    enough = most & (last - first >= OVERLAP * min(len(a), len(b)))
    # With next to no energy in the overlap, rounding errors would correlate.
    enough &= (part_a > 1e-6 * energy_a[-1]) & (part_b > 1e-6 * energy_b[-1])
    scale = np.sqrt(np.where(enough, part_a * part_b, 1.0))
    return np.where(enough, product / np.maximum(scale, 1e-30), 0.0), lag


def _plain(y: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.signal.sosfiltfilt(band_pass(PLAIN_BAND, SR), y))


def _whitened(y: np.ndarray) -> np.ndarray:
    """The wave with a flat long-term spectrum."""
    length = scipy.fft.next_fast_len(len(y), real=True)
    spectrum = scipy.fft.rfft(np.asarray(y, dtype=float), length)
    power = np.square(np.abs(spectrum))
    width = max(3, round(length * SMOOTH_HZ / SR))
    smooth = scipy.ndimage.uniform_filter1d(power, width, mode="constant")
    gain = 1 / np.sqrt(np.maximum(smooth + FLOOR * smooth.max(), 1e-30))
    flat = scipy.fft.irfft(spectrum * gain, length)[: len(y)]
    return np.asarray(scipy.signal.sosfiltfilt(band_pass(WHITE_BAND, SR), flat))


@lru_cache(maxsize=3)
def band_pass(band: tuple[float, float], sr: int) -> np.ndarray:
    """Second-order sections of a Butterworth filter that passes `band` (Hz) at `sr` Hz."""
    return np.asarray(scipy.signal.butter(2, band, "band", fs=sr, output="sos"))
