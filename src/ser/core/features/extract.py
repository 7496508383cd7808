"""Low-level descriptors (LLD) and log-mel of a waveform, from one STFT.

librosa's conventions and filter banks throughout: every descriptor equals the `librosa.feature`
call of the same name. librosa would compute the STFT anew for each of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import scipy.fft

from ser.core.features.byol_mel import byol_log_mel
from ser.core.features.derivative import delta
from ser.core.features.functionals import functional_names as names_of_functionals
from ser.core.features.functionals import functionals
from ser.core.features.modulation import modulation, modulation_names
from ser.core.features.movement import movement, movement_names
from ser.core.features.opensmile import smile_functionals, smile_names
from ser.core.features.pitch import is_voiced, track_f0
from ser.core.features.spectrum import (
    band_extremes,
    centred_frames,
    contrast,
    count_extremes,
    hann,
    mel_and_chroma_bank,
    power_blocks,
    power_to_db,
    scaled_chroma,
)
from ser.core.utterance.waveform import high_pass, levelled, resample, trim_bounds
from ser.errors import AudioError, EmptyAudio
from ser.params import FeatureParams


@dataclass(frozen=True)
class Lld:
    """values : float32 (n_frames, n_lld), C order; names : n_lld column names."""

    values: np.ndarray
    names: tuple[str, ...]

    def __getitem__(self, group: str) -> np.ndarray:
        """Columns of one group, e.g. `lld["mfcc"]`: (n_frames, n_columns)."""
        return self.values[:, _columns_of(group, self.names)]


@lru_cache(maxsize=64)
def _columns_of(group: str, names: tuple[str, ...]) -> slice:
    index = [i for i, name in enumerate(names) if name.rpartition("_")[0] == group]
    if not index:
        index = [names.index(group)]
    return slice(index[0], index[-1] + 1)


@dataclass(frozen=True)
class Features:
    """What models are trained on.

    functionals : float32 Series, indexed by name.
    log_mel : float16 (n_frames, n_mels), dB. Half precision because that is what is stored:
        training and serving see the same numbers.
    """

    functionals: pd.Series
    log_mel: np.ndarray


def extract(y: np.ndarray, *, params: FeatureParams) -> Features:
    """Features of one utterance, `prepared`.

    y : float32 (n_samples,), mono, at `params.sr` Hz, `audible`.
    Raises EmptyAudio or AudioError as `prepared` does.

    >>> hum = np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000).astype(np.float32)
    >>> features = extract(hum, params=FeatureParams())
    >>> features.functionals.shape, features.log_mel.shape
    ((1998,), (101, 64))
    """
    y = prepared(y, params=params)
    frames = centred_frames(y, n_fft=params.n_fft, hop_length=params.hop_length)
    return summed_up(y, read_spectrum(frames, params=params), params=params)


def summed_up(y: np.ndarray, spectral: Spectral, *, params: FeatureParams) -> Features:
    """Features of `prepared` y (n_samples,) from the spectra of its centred frames.

    Functionals are of descriptors above the noise floor; the log-mel has none, for networks are
    trained on versions with noise of many levels and need no other help.
    """
    if params.functionals == "ser":
        descriptors = lld_of(y, spectral, params=params, floor=noise_floor(y, params=params))
        values = np.concatenate(
            [
                functionals(descriptors.values, names=descriptors.names),
                movement(descriptors["mfcc"]),
                modulation(descriptors["log_mel"]),
            ]
        ).astype(np.float32)
    else:
        values = smile_functionals(y, sr=params.sr, name=params.functionals)
    if params.log_mel == "byol_s":
        log_mel = byol_log_mel(y)
    else:
        log_mel = power_to_db(spectral.mel_and_chroma[:, : params.n_mels], params.top_db)
    return Features(
        functionals=pd.Series(values, index=_functional_index(params)),
        log_mel=log_mel.astype(np.float16),
    )


def audible(y: np.ndarray, *, sr: int, params: FeatureParams) -> np.ndarray:
    """Mono y (n_samples,) at `sr` Hz as `extract` takes it: at `params.sr`, nothing below speech.

    Training and serving bring every recording through this one function.
    Raises AudioError as `resample` does.
    """
    if params.high_pass_hz is None or y.size == 0:
        return resample(y, sr_in=sr, sr_out=params.sr)
    # The resampler takes what lies before and after for zeros: a DC offset would step there.
    return above_rumble(resample(y - y[0], sr_in=sr, sr_out=params.sr), params=params)


def above_rumble(y: np.ndarray, *, params: FeatureParams) -> np.ndarray:
    """y (n_samples,) at `params.sr` Hz through the high-pass filter, where there is one."""
    if params.high_pass_hz is None:
        return y
    return high_pass(y, sr=params.sr, cutoff_hz=params.high_pass_hz)


def prepared(y: np.ndarray, *, params: FeatureParams) -> np.ndarray:
    """`audible` y without the silence at both ends, brought to one level.

    Raises EmptyAudio or AudioError as `check_waveform` does, and EmptyAudio of digital silence.
    """
    start, stop = speech_bounds(y, params=params)
    y = y[start:stop]
    return y if params.level_db is None else levelled(y, level_db=params.level_db)


def speech_bounds(y: np.ndarray, *, params: FeatureParams) -> tuple[int, int]:
    """The samples [start, stop) of `audible` y that `prepared` keeps; raises as it does."""
    check_waveform(y, params=params)
    if not y.any():
        raise EmptyAudio("is digital silence, or nothing but a constant", "speech", "Leave it out.")
    if params.trim_db is None:
        return 0, y.size
    start, stop = trim_bounds(
        y,
        sr=params.sr,
        top_db=params.trim_db,
        margin_seconds=params.trim_margin_seconds,
        noise_db=params.trim_noise_db,
    )
    # Never shorter than one window.
    return (start, stop) if stop - start >= params.n_fft else (0, y.size)


def check_waveform(y: np.ndarray, *, params: FeatureParams) -> None:
    """Raise EmptyAudio (no samples) or AudioError (shape, too short, not finite)."""
    if y.ndim != 1:
        raise AudioError(f"has shape {y.shape}", "(n_samples,)", "Use mono().")
    if y.size == 0:
        raise EmptyAudio("has no samples", "at least one window", "Leave it out.")
    if y.size < params.n_fft:
        raise AudioError(
            f"lasts {y.size / params.sr:.3f} s",
            f"at least {params.n_fft / params.sr:.3f} s, one window",
            "Send more audio, or lower features.n_fft.",
        )
    if not np.isfinite(y).all():
        raise AudioError("holds NaN or infinite samples", "finite ones", "Decode it again.")


@lru_cache(maxsize=8)
def lld_names(params: FeatureParams) -> tuple[str, ...]:
    """Names of the columns of `lld`."""
    mfcc = range(params.n_mfcc)
    return (
        *(f"mfcc_{i:02d}" for i in mfcc),
        *(f"mfcc_delta_{i:02d}" for i in mfcc),
        *(f"mfcc_delta2_{i:02d}" for i in mfcc),
        *(f"chroma_{i:02d}" for i in range(params.n_chroma)),
        *(f"contrast_{i}" for i in range(params.n_contrast + 1)),
        *(f"log_mel_{i:02d}" for i in range(params.n_mels)),
        "rms",
        "zcr",
        "f0",
        "harmonicity",
    )


@lru_cache(maxsize=8)
def _functional_index(params: FeatureParams) -> pd.Index:
    return pd.Index(functional_names(params))


def functional_names(params: FeatureParams) -> tuple[str, ...]:
    """Names of the functionals that `extract` returns, in its order."""
    if params.functionals != "ser":
        return smile_names(params.functionals)
    return (
        *names_of_functionals(lld_names(params)),
        *movement_names(params.n_mfcc),
        *modulation_names(params.n_mels),
    )


def lld(y: np.ndarray, *, params: FeatureParams) -> Lld:
    """All descriptors of all frames of y (n_samples,), untrimmed.

    Frames are centred: frame t covers samples t · hop_length ± n_fft / 2, zeros beyond the ends.
    f0 is in Hz, 0 where unvoiced; rms is linear, log_mel in dB re 1, floored `top_db` below the
    utterance's loudest bin.
    """
    frames = centred_frames(y, n_fft=params.n_fft, hop_length=params.hop_length)
    return lld_of(y, read_spectrum(frames, params=params), params=params)


@dataclass(frozen=True)
class Spectral:
    """What is read from each frame's power spectrum, whatever the other frames hold.

    mel_and_chroma : float32 (n_frames, n_mels + n_chroma), powers; extremes : float32 (n_frames, …)
    of `band_extremes`, powers; f0, harmonicity : float64 (n_frames,) of `track_f0`.
    """

    mel_and_chroma: np.ndarray
    extremes: np.ndarray
    f0: np.ndarray
    harmonicity: np.ndarray


def read_spectrum(frames: np.ndarray, *, params: FeatureParams) -> Spectral:
    """Of frames (n_frames, n_fft) of a waveform."""
    n = len(frames)
    bank = mel_and_chroma_bank(params.sr, params.n_fft, params.n_mels, params.n_chroma)
    mel_and_chroma = np.empty((n, bank.shape[1]), dtype=np.float32)
    extremes = np.empty((n, count_extremes(params)), dtype=np.float32)
    f0, harmonicity = np.empty((2, n))
    for rows, power in power_blocks(frames):
        np.matmul(power, bank, out=mel_and_chroma[rows])
        band_extremes(power, params=params, out=extremes[rows])
        f0[rows], harmonicity[rows] = track_f0(
            power, sr=params.sr, n_fft=params.n_fft, f0_min=params.f0_min, f0_max=params.f0_max
        )
    return Spectral(mel_and_chroma, extremes, f0, harmonicity)


def lld_of(y: np.ndarray, spectral: Spectral, *, params: FeatureParams, floor: float = 0.0) -> Lld:
    """All descriptors of y (n_samples,) from the spectra of its centred frames.

    floor : power of steady white noise in each bin, which is added to that of y: what noise is on
    average, without its chance. F0, harmonicity and zero crossings are y's own.
    """
    mel_and_chroma, extremes = spectral.mel_and_chroma, spectral.extremes
    rms, zcr = _rms_and_zcr(y, n_fft=params.n_fft, hop_length=params.hop_length)
    harmonicity = spectral.harmonicity
    f0 = np.where(is_voiced(harmonicity, rms=rms), spectral.f0, 0.0)
    if floor > 0:
        bank = mel_and_chroma_bank(params.sr, params.n_fft, params.n_mels, params.n_chroma)
        mel_and_chroma = mel_and_chroma + np.float32(floor) * bank.sum(axis=0)
        extremes = extremes + np.float32(floor)
        rms = np.sqrt(np.square(rms) + floor / np.square(hann(params.n_fft)).sum())
    log_mel = power_to_db(mel_and_chroma[:, : params.n_mels], params.top_db)
    mfcc = log_mel @ _dct(params.n_mels, params.n_mfcc)
    values = np.concatenate(
        [
            mfcc,
            delta(mfcc, order=1),
            delta(mfcc, order=2),
            scaled_chroma(mel_and_chroma[:, params.n_mels :]),
            contrast(extremes, params=params),
            log_mel,
            np.stack([rms, zcr, f0, harmonicity], axis=1),
        ],
        axis=1,
        dtype=np.float32,
    )
    return Lld(values, lld_names(params))


def noise_floor(y: np.ndarray, *, params: FeatureParams) -> float:
    """Mean power in a bin of white noise `params.noise_floor_db` below y (n_samples,); 0: none."""
    if params.noise_floor_db is None:
        return 0.0
    power = float(np.mean(np.square(y, dtype=np.float64))) * 10 ** (-params.noise_floor_db / 10)
    return power * float(np.square(hann(params.n_fft)).sum())


@lru_cache(maxsize=8)
def _dct(n_mels: int, n_mfcc: int) -> np.ndarray:
    """The orthonormal DCT-II as a matrix (n_mels, n_mfcc)."""
    return scipy.fft.dct(np.eye(n_mels), axis=1, norm="ortho")[:, :n_mfcc].astype(np.float32)


def _rms_and_zcr(y: np.ndarray, *, n_fft: int, hop_length: int) -> tuple[np.ndarray, np.ndarray]:
    """RMS and zero-crossing rate per frame, each (n_frames,), from running sums over blocks."""
    half = n_fft // 2
    starts = np.arange(0, y.size + 2 * half - n_fft + 1, hop_length)
    # Every frame begins and ends at a multiple of this.
    block = math.gcd(n_fft, hop_length)
    length = int(starts[-1]) + n_fft
    first, last = starts // block, (starts + n_fft) // block

    samples = np.pad(y, half)[:length].reshape(-1, block)
    squares = np.einsum("ij,ij->i", samples, samples)
    sums = np.concatenate([[0.0], np.cumsum(squares, dtype=np.float64)])
    rms = np.sqrt(np.maximum(sums[last] - sums[first], 0.0) / n_fft)

    # librosa takes samples within 1e-10 of zero for positive zeros, and repeats the end samples.
    negative = np.pad(y < -1e-10, half, mode="edge")[:length]
    crosses = np.zeros(length, dtype=bool)
    np.not_equal(negative[1:], negative[:-1], out=crosses[1:])
    counts = np.concatenate([[0], np.cumsum(crosses.reshape(-1, block).sum(axis=1))])
    # What lies between a frame's first sample and the one before is not in the frame.
    zcr = (counts[last] - counts[first] - crosses[starts]) / n_fft
    return rms, zcr
