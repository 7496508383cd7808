"""Channels of a narrow band: filters, telephones, microphones of another colour. Pure."""

from __future__ import annotations

import numpy as np
import scipy  # A submodule is loaded at its first use.
import scipy.fft

from ser.core.utterance.waveform import resample
from ser.errors import AudioError

#: The band of the analogue telephone (ITU-T G.712), the rate of its digital form, and the
#: constant of the companding curve in North America and Japan (ITU-T G.711).
TELEPHONE_HZ, TELEPHONE_RATE, MU = (300.0, 3400.0), 8000, 255
#: Order of the filters: 24 dB an octave for each edge.
ORDER = 4
#: The tilt turns about this frequency, and is constant below the lowest one.
PIVOT_HZ, LOWEST_HZ = 1000.0, 50.0


def band_passed(
    y: np.ndarray, *, sr: int, low_hz: float | None = None, high_hz: float | None = None
) -> np.ndarray:
    """y (n_samples,) between two frequencies, 3 dB down at each; None: no edge on that side.

    Butterworth filters, 24 dB an octave, causal as in a device. Raises AudioError where an edge
    does not lie between 0 and sr / 2, or the edges are not in order.
    """
    edges = [0.0 if low_hz is None else low_hz, sr / 2 if high_hz is None else high_hz]
    if (low_hz is not None and low_hz <= 0) or (high_hz is not None and high_hz >= sr / 2):
        raise AudioError(f"is to be filtered from {edges[0]:g} to {edges[1]:g} Hz at {sr} Hz",
                         "edges between 0 and half of the rate")  # fmt: skip
    if edges[0] >= edges[1]:
        raise AudioError(f"is to be filtered from {edges[0]:g} to {edges[1]:g} Hz",
                         "a lower edge below the upper one")  # fmt: skip
    for edge, kind in ((low_hz, "highpass"), (high_hz, "lowpass")):
        if edge is not None:
            sos = scipy.signal.butter(ORDER, edge, btype=kind, output="sos", fs=sr)
            y = scipy.signal.sosfilt(sos, y)
    return np.asarray(y, dtype=np.float32)


def at_rate(y: np.ndarray, *, sr: int, rate: int) -> np.ndarray:
    """y (n_samples,) at `sr` Hz as it sounds after `rate` Hz: nothing is left above rate / 2."""
    there = resample(y, sr_in=sr, sr_out=rate)
    return _as_long(resample(there, sr_in=rate, sr_out=sr), y.size)


def mu_law(y: np.ndarray, *, bits: int = 8) -> np.ndarray:
    """y (n_samples,) in 2 ** bits steps of the mu-law, small ones near zero: float32 within ±1.

    The curve of ITU-T G.711, whose table approximates it by straight lines.
    """
    y = np.clip(y, -1.0, 1.0)
    half = 2.0 ** (bits - 1)
    compressed = half * np.sign(y) * np.log1p(MU * np.abs(y)) / np.log1p(MU)
    # A step lies on each side of zero, none on it.
    steps = np.clip(np.floor(compressed), -half, half - 1) + 0.5
    expanded = np.sign(steps) * np.expm1(np.abs(steps) / half * np.log1p(MU)) / MU
    return np.asarray(expanded, dtype=np.float32)


def telephone(
    y: np.ndarray,
    *,
    sr: int,
    low_hz: float = TELEPHONE_HZ[0],
    high_hz: float = TELEPHONE_HZ[1],
    rate: int = TELEPHONE_RATE,
    bits: int = 8,
    peak: float = 0.5,
) -> np.ndarray:
    """y (n_samples,) at `sr` Hz after a telephone line: band-pass, `rate` Hz, mu-law.

    peak : the level at which the line is driven, for the steps of the mu-law; y's own is restored.
    """
    line = resample(y, sr_in=sr, sr_out=rate)
    line = band_passed(line, sr=rate, low_hz=low_hz, high_hz=high_hz)
    loudest = float(np.abs(line).max(initial=0.0))
    if loudest > 0:
        drive = np.float32(peak / loudest)
        line = mu_law(line * drive, bits=bits) / drive
    return _as_long(resample(line, sr_in=rate, sr_out=sr), y.size)


def tilted(y: np.ndarray, *, sr: int, db_per_octave: float) -> np.ndarray:
    """y (n_samples,) whose spectrum rises by so many dB an octave, unchanged at 1 kHz.

    Without delay: the filter has no phase.
    """
    # Zeros beyond the end: the filter must not wrap around.
    n = scipy.fft.next_fast_len(2 * y.size, real=True)
    hertz = np.maximum(np.fft.rfftfreq(n, 1 / sr), LOWEST_HZ)
    gain = 10 ** (db_per_octave * np.log2(hertz / PIVOT_HZ) / 20)
    changed = scipy.fft.irfft(scipy.fft.rfft(y, n) * gain, n)[: y.size]
    return np.asarray(changed, dtype=np.float32)


def _as_long(y: np.ndarray, n: int) -> np.ndarray:
    """y cut, or with zeros behind, to n samples."""
    return np.pad(y[:n], (0, max(0, n - y.size)))
