"""Recordings made on the spot, by libsndfile and by FFmpeg."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import scipy.signal
import soundfile

from ser.core.utterance.waveform import resample
from ser.io.audio.limits import Limits
from ser.io.audio.read import load_mono

SR = 16_000
#: What a stranger might send.
UPLOAD = Limits(max_bytes=25 * 2**20, max_seconds=300.0)


def syllables(*, sr: int = SR, seconds: float = 1.0, rng: np.random.Generator) -> np.ndarray:
    """Something that only its own lag fits: noisy vowels of changing pitch, int16 (n_samples,)."""
    t = np.arange(round(sr * seconds)) / sr
    pitch = 120 + 60 * np.sin(2 * np.pi * 1.3 * t)
    voice = sum(np.sin(k * 2 * np.pi * np.cumsum(pitch) / sr) / k for k in range(1, 12))
    y = voice * (0.3 + 0.7 * np.sin(2 * np.pi * 3 * t) ** 2) + 0.02 * rng.standard_normal(t.size)
    return np.round(y / np.abs(y).max() * 0.8 * 2**15).astype(np.int16)


def written(
    y: np.ndarray, kind: str, subtype: str | None = None, *, sr: int = SR, endian: str = "FILE"
) -> bytes:
    """A file's bytes by libsndfile; `kind` as soundfile.available_formats names it."""
    file = io.BytesIO()
    soundfile.write(file, y, sr, format=kind, subtype=subtype, endian=endian)
    return file.getvalue()


def muxed(
    y: np.ndarray,
    kind: str,
    codec: str,
    *,
    sr: int = SR,
    to: Path | None = None,
    coder: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """A file's bytes by FFmpeg from int16 (n_samples,) or (n_samples, 2).

    to : where FFmpeg needs to read back what it wrote; `coder`, `options` of encoder and muxer.
    """
    target = io.BytesIO() if to is None else str(to)
    layout = "mono" if y.ndim == 1 else "stereo"
    with av.open(target, "w", format=kind, options=options) as file:
        stream = file.add_stream(codec, rate=sr, layout=layout, options=coder or {})
        frame = av.AudioFrame.from_ndarray(y.reshape(1, -1), format="s16", layout=layout)
        # Without a first timestamp no edit list tells players how much the encoder put before it.
        frame.sample_rate, frame.pts, frame.time_base = sr, 0, Fraction(1, sr)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return target.getvalue() if to is None else to.read_bytes()


def load_audio(source: Path | bytes, *, sr: int) -> np.ndarray:
    """Mono float32 samples of a path or a file's bytes at `sr` Hz."""
    y, rate = load_mono(source)
    return resample(y, sr_in=rate, sr_out=sr)


def fit(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Correlation of `b` with `a` at the lag (samples) that fits best, and that lag."""
    at_lag = scipy.signal.correlate(b, a, mode="full", method="fft")
    best = int(at_lag.argmax())
    return float(at_lag[best] / np.sqrt(np.dot(a, a) * np.dot(b, b))), best - (len(a) - 1)
