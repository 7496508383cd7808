"""Rooms: impulse responses of noise that decays, and speech in them. Pure."""

from __future__ import annotations

import numpy as np
import scipy  # A submodule is loaded at its first use.

from ser.errors import AudioError

#: Sound that has been reflected comes this much later than what came straight.
FIRST_REFLECTION_SECONDS = 0.003
#: dB by which sound has decayed after RT60.
DECAY_DB = 60.0


def impulse_response(
    *,
    sr: int,
    rt60_seconds: float,
    drr_db: float,
    rng: np.random.Generator,
    damping_hz: float | None = None,
) -> np.ndarray:
    """Of a room: direct sound 1 at sample 0, then noise that decays; float32 (n_samples,).

    rt60_seconds : in which reverberation decays by 60 dB (Polack 1988's model of late
    reverberation). drr_db : energy of the direct sound over that of all reflections.
    damping_hz : walls and air absorb sound above this frequency, 6 dB an octave; None: all alike.
    """
    if rt60_seconds <= 0:
        raise AudioError(f"is to sound in a room of RT60 {rt60_seconds:g} s", "more than 0 s")
    start = max(1, round(FIRST_REFLECTION_SECONDS * sr))
    n = start + max(1, round(rt60_seconds * sr))
    time = np.arange(n - start) / sr
    tail = rng.standard_normal(n - start) * 10 ** (-DECAY_DB / 20 * time / rt60_seconds)
    if damping_hz is not None:
        pole = np.exp(-2 * np.pi * damping_hz / sr)
        tail = scipy.signal.lfilter([1 - pole], [1, -pole], tail)
    tail *= 10 ** (-drr_db / 20) / np.sqrt(np.square(tail).sum())
    return np.concatenate([[1.0], np.zeros(start - 1), tail]).astype(np.float32)


def reverberated(y: np.ndarray, *, response: np.ndarray) -> np.ndarray:
    """y (n_samples,) in a room of that impulse response (m,), at y's rate: float32 (n_samples,).

    The loudest sample of the response is taken for the direct sound, which comes without delay.
    What sounds on after the recording's end is cut off.
    """
    delay = int(np.abs(response).argmax())
    heard = scipy.signal.fftconvolve(y, response)[delay : delay + y.size]
    return np.asarray(np.pad(heard, (0, y.size - heard.size)), dtype=np.float32)
