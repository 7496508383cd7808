"""Waveforms: one channel, one rate, no silence around the speech. Pure."""

from __future__ import annotations

import numpy as np
import soxr

from ser.errors import AudioError, EmptyAudio

#: Length of the blocks whose energy decides what is silence.
TRIM_BLOCK_SECONDS = 0.010


def mono(y: np.ndarray) -> np.ndarray:
    """The mean of the channels.

    y : (n_samples,) or (n_samples, n_channels), as soundfile reads.
    Returns float32 (n_samples,). Raises AudioError for any other shape.
    """
    y = np.asarray(y, dtype=np.float32)
    if y.ndim == 1:
        return y
    if y.ndim != 2 or y.shape[1] == 0:
        raise AudioError(
            f"The waveform has shape {y.shape}; expected (n_samples,) or (n_samples, n_channels)."
        )
    return y[:, 0] if y.shape[1] == 1 else y.mean(axis=1, dtype=np.float32)


def resample(y: np.ndarray, *, sr_in: int, sr_out: int) -> np.ndarray:
    """y (n_samples,) at `sr_out` Hz: float32, ceil or floor of n_samples · sr_out / sr_in samples.

    Band-limited by libsoxr ("HQ", the quality that librosa.resample takes by default).
    """
    if sr_in <= 0 or sr_out <= 0:
        raise AudioError(f"Sampling rates are {sr_in} and {sr_out} Hz; expected positive ones.")
    y = np.ascontiguousarray(y, dtype=np.float32)
    if sr_in == sr_out or y.size == 0:
        return y
    return np.asarray(soxr.resample(y, sr_in, sr_out, quality="HQ"), dtype=np.float32)


def levelled(y: np.ndarray, *, level_db: float) -> np.ndarray:
    """y (n_samples,) scaled to a root mean square of `level_db` dB re 1; silence as it is.

    Samples may then lie beyond ±1: nothing is clipped.
    """
    rms = float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))
    return y if rms == 0 else y * np.float32(10 ** (level_db / 20) / rms)


def trim(
    y: np.ndarray, *, sr: int, top_db: float = 40.0, margin_seconds: float = 0.050
) -> np.ndarray:
    """A view of y (n_samples,) without the silence at both ends.

    Silence is every 10 ms block whose energy lies more than `top_db` below the loudest block's;
    `margin_seconds` of it stay on each side. Digital silence comes back whole: an utterance
    without sound is for the caller to judge. Like librosa.effects.trim, at a tenth of its cost.
    """
    if y.size == 0:
        raise EmptyAudio("The waveform has no samples; expected at least one.")
    block = max(1, round(TRIM_BLOCK_SECONDS * sr))
    starts = np.arange(0, y.size, block)
    energy = np.add.reduceat(np.square(y, dtype=np.float64), starts)
    peak = energy.max()
    if not np.isfinite(peak) or peak <= 0:
        return y
    loud = np.flatnonzero(energy > peak * 10 ** (-top_db / 10))
    margin = round(margin_seconds * sr)
    start = max(0, int(loud[0]) * block - margin)
    return y[start : (int(loud[-1]) + 1) * block + margin]
