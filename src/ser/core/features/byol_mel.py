"""The log-mel that BYOL-S was trained on, instead of ours. Pure.

Scheidwasser-Clow et al. (2022), "SERAB: a multi-lingual benchmark for speech emotion
recognition": 64 HTK mels without normalisation, 60 to 7,800 Hz, of 1,024-sample windows at 16 kHz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ser.core.features.spectrum import centred_frames, power_blocks

SR, N_FFT, HOP_LENGTH, N_MELS = 16_000, 1024, 160, 64
F_MIN, F_MAX = 60.0, 7_800.0
#: Added to the power before its logarithm.
LEAST = np.finfo(np.float32).eps


def byol_log_mel(y: np.ndarray) -> np.ndarray:
    """Float32 (n_frames, N_MELS), dB, of y (n_samples,) at SR Hz."""
    frames = centred_frames(y, n_fft=N_FFT, hop_length=HOP_LENGTH)
    mel = np.empty((len(frames), N_MELS), dtype=np.float32)
    for rows, power in power_blocks(frames):
        np.matmul(power, _bank(), out=mel[rows])
    log_mel: np.ndarray = 10 * np.log10(mel + LEAST)
    return log_mel


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(1 + N_FFT / 2, N_MELS)"""
    # Imported here: the other log-mel needs no librosa, which comes with numba.
    import librosa

    bank = librosa.filters.mel(
        sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=F_MIN, fmax=F_MAX, htk=True, norm=None
    )
    return np.ascontiguousarray(bank.T)
