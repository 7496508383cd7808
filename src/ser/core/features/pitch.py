"""Fundamental frequency (F0) by autocorrelation of a block of frames at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

from ser.core.features.spectrum import hann

#: Harmonicity from which a frame is voiced (Praat's voicing threshold).
VOICED = 0.45
#: RMS, relative to the loudest frame's, below which a frame is silent (Praat's is 0.03).
SILENT = 0.03
#: What an octave downwards costs in harmonicity: a period's multiples correlate as well as it.
OCTAVE_COST = 0.02


def track_f0(
    power: np.ndarray, *, sr: int, n_fft: int, f0_min: float, f0_max: float
) -> tuple[np.ndarray, np.ndarray]:
    """F0 in Hz (n_frames,) of frames that may be unvoiced, and harmonicity (n_frames,) in [0, 1].

    power : |STFT|² (n_frames, 1 + n_fft / 2) under a Hann window.
    Harmonicity is the normalised autocorrelation at the period: 1 for a periodic frame.

    Boersma (1993), "Accurate short-term analysis of the fundamental frequency": the
    autocorrelation of the windowed frame, which is the inverse transform of its power spectrum,
    divided by the window's own. There is no path search; a frame decides by itself.
    """
    shortest = max(2, int(np.floor(sr / f0_max)))
    longest = min(int(np.ceil(sr / f0_min)), n_fft // 2 - 2)
    correlation = scipy.fft.irfft(power, n=n_fft, axis=1)
    # Not divided by its energy yet: that moves no peak.
    energy = np.maximum(correlation[:, 0], np.finfo(np.float32).tiny)
    correlation = (
        correlation[:, shortest - 1 : longest + 2]
        * _inverse_window(n_fft)[shortest - 1 : longest + 2]
    )
    before, here, after = correlation[:, :-2], correlation[:, 1:-1], correlation[:, 2:]
    score = energy[:, None] * _octave_costs(shortest, longest)
    np.subtract(here, score, out=score)
    score[(here <= before) | (here < after)] = -np.inf
    best = score.argmax(axis=1)
    rows = np.arange(len(power))
    left, top, right = (values[rows, best] / energy for values in (before, here, after))

    # The true maximum lies between samples: fit a parabola through three of them.
    curvature = np.minimum(left - 2 * top + right, -1e-12)
    shift = np.minimum(np.maximum(0.5 * (left - right) / curvature, -0.5), 0.5)
    found = score[rows, best] > -np.inf
    harmonicity = np.where(found, np.minimum(np.maximum(top, 0.0), 1.0), 0.0)
    return sr / (shortest + best + shift), harmonicity


def is_voiced(harmonicity: np.ndarray, *, rms: np.ndarray) -> np.ndarray:
    """True (n_frames,) where a frame is periodic and not silent beside the loudest one."""
    return (harmonicity >= VOICED) & (rms > SILENT * rms.max(initial=0.0))


@lru_cache(maxsize=8)
def _octave_costs(shortest: int, longest: int) -> np.ndarray:
    costs = OCTAVE_COST * np.log2(np.arange(shortest, longest + 1, dtype=np.float32))
    costs.setflags(write=False)
    return costs


@lru_cache(maxsize=8)
def _inverse_window(n_fft: int) -> np.ndarray:
    """One over the window's own normalised autocorrelation, float32 (n_fft,)."""
    correlation = scipy.fft.irfft(np.abs(scipy.fft.rfft(hann(n_fft))) ** 2, n=n_fft)
    with np.errstate(divide="ignore"):
        inverse: np.ndarray = (correlation[0] / correlation).astype(np.float32)
    inverse.setflags(write=False)
    return inverse
