"""Low-level descriptors (LLD) and log-mel of a waveform, from one STFT.

librosa's conventions and filter banks throughout: every descriptor equals the `librosa.feature`
call of the same name. librosa would compute the STFT anew for each of them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import librosa
import numpy as np
import pandas as pd
import scipy.fft

from ser.core.functionals import functional_names as names_of_functionals
from ser.core.functionals import functionals
from ser.core.pitch import track_f0
from ser.core.waveform import trim
from ser.errors import AudioError, EmptyAudio
from ser.params import FeatureParams

#: Lowest edge of spectral contrast's octave bands, librosa's default.
CONTRAST_FMIN = 200.0
#: Share of a band's bins that are its peaks and its valleys, librosa's default.
CONTRAST_QUANTILE = 0.02
#: Frames over which Δ and ΔΔ are fitted, librosa's default.
DELTA_WIDTH = 9


@dataclass(frozen=True)
class Lld:
    """values : float32 (n_frames, n_lld), C order; names : n_lld column names."""

    values: np.ndarray
    names: tuple[str, ...]

    def __getitem__(self, group: str) -> np.ndarray:
        """Columns of one group, e.g. `lld["mfcc"]`: (n_frames, n_columns)."""
        index = [i for i, name in enumerate(self.names) if name.rpartition("_")[0] == group]
        if not index:
            index = [self.names.index(group)]
        return self.values[:, index[0] : index[-1] + 1]


@dataclass(frozen=True)
class Features:
    """What models learn from.

    functionals : float32 Series, indexed by name.
    log_mel : float16 (n_frames, n_mels), dB. Half precision because that is what is stored:
        training and serving see the same numbers.
    """

    functionals: pd.Series
    log_mel: np.ndarray


def extract(y: np.ndarray, *, params: FeatureParams) -> Features:
    """Features of one utterance, silence at both ends trimmed off.

    y : float32 (n_samples,), mono, at `params.sr` Hz.
    Raises EmptyAudio or AudioError as `check_waveform` does.
    """
    check_waveform(y, params=params)
    if not y.any():
        raise EmptyAudio("The waveform is digital silence; expected speech. Leave it out.")
    if params.trim_db is not None:
        y = _trimmed(y, params)
    descriptors = lld(y, params=params)
    return Features(
        functionals=pd.Series(
            functionals(descriptors.values, names=descriptors.names),
            index=pd.Index(functional_names(params)),
        ),
        log_mel=descriptors["log_mel"].astype(np.float16),
    )


def check_waveform(y: np.ndarray, *, params: FeatureParams) -> None:
    """Raise EmptyAudio (no samples) or AudioError (shape, too short, not finite)."""
    if y.ndim != 1:
        raise AudioError(f"The waveform has shape {y.shape}; expected (n_samples,). Use mono().")
    if y.size == 0:
        raise EmptyAudio("The waveform has no samples; expected at least one window.")
    if y.size < params.n_fft:
        raise AudioError(
            f"The waveform lasts {y.size / params.sr:.3f} s; one window needs "
            f"{params.n_fft / params.sr:.3f} s. Send more audio, or lower features.n_fft."
        )
    if not np.isfinite(y).all():
        raise AudioError(
            "The waveform holds NaN or infinite samples; expected finite ones. Decode it again."
        )


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


def functional_names(params: FeatureParams) -> tuple[str, ...]:
    """Names of the functionals that `extract` returns, in its order."""
    return names_of_functionals(lld_names(params))


def lld(y: np.ndarray, *, params: FeatureParams) -> Lld:
    """All descriptors of all frames of y (n_samples,), untrimmed.

    Frames are centred: frame t covers samples t · hop_length ± n_fft / 2, zeros beyond the ends.
    f0 is in Hz, 0 where unvoiced; rms is linear, log_mel in dB re 1, floored `top_db` below the
    utterance's loudest bin.
    """
    n_fft, hop = params.n_fft, params.hop_length
    power = power_spectrogram(y, n_fft=n_fft, hop_length=hop)
    mel = power @ _mel_bank(params.sr, n_fft, params.n_mels).T
    log_mel = _power_to_db(mel, params.top_db)
    mfcc = scipy.fft.dct(log_mel, axis=1, type=2, norm="ortho")[:, : params.n_mfcc]
    rms, zcr = _rms_and_zcr(y, n_fft=n_fft, hop_length=hop)
    f0, harmonicity = track_f0(
        power, rms=rms, sr=params.sr, n_fft=n_fft, f0_min=params.f0_min, f0_max=params.f0_max
    )
    values = np.concatenate(
        [
            mfcc,
            delta(mfcc, order=1),
            delta(mfcc, order=2),
            _chroma(power, params),
            _contrast(np.sqrt(power), params),
            log_mel,
            np.stack([rms, zcr, f0, harmonicity], axis=1),
        ],
        axis=1,
        dtype=np.float32,
    )
    return Lld(values, lld_names(params))


def power_spectrogram(y: np.ndarray, *, n_fft: int, hop_length: int) -> np.ndarray:
    """|STFT|² of y (n_samples,): float32 (n_frames, 1 + n_fft / 2), Hann window, centred."""
    y = np.pad(np.asarray(y, dtype=np.float32), n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop_length]
    # Double precision until here, as in librosa: spectral valleys lie deep below the peaks.
    spectrum = np.fft.rfft(frames * _window(n_fft), axis=1).astype(np.complex64)
    power: np.ndarray = np.square(spectrum.real) + np.square(spectrum.imag)
    return power


def delta(values: np.ndarray, *, order: int) -> np.ndarray:
    """Δ (order 1) or ΔΔ (order 2) over time of values (n_frames, n), like librosa.feature.delta."""
    # Fewer frames than the fit is wide: repeat the edges instead of extrapolating from them.
    mode = "interp" if len(values) >= DELTA_WIDTH else "nearest"
    return librosa.feature.delta(values, width=DELTA_WIDTH, order=order, axis=0, mode=mode)


def _trimmed(y: np.ndarray, params: FeatureParams) -> np.ndarray:
    """y trimmed, but never shorter than one window."""
    assert params.trim_db is not None
    trimmed = trim(
        y, sr=params.sr, top_db=params.trim_db, margin_seconds=params.trim_margin_seconds
    )
    return trimmed if trimmed.size >= params.n_fft else y


def _power_to_db(power: np.ndarray, top_db: float | None) -> np.ndarray:
    db = 10.0 * np.log10(np.maximum(power, 1e-10))
    return db if top_db is None else np.maximum(db, db.max() - top_db)


def _chroma(power: np.ndarray, params: FeatureParams) -> np.ndarray:
    bank = _chroma_bank(params.sr, params.n_fft, params.n_chroma)
    chroma = power @ bank.T
    peak = chroma.max(axis=1, keepdims=True)
    # A frame without energy stays as it is, as in librosa.util.normalize.
    return chroma / np.where(peak < np.finfo(np.float32).tiny, 1.0, peak)


def _contrast(magnitude: np.ndarray, params: FeatureParams) -> np.ndarray:
    """Peak minus valley of each octave band, dB: (n_frames, n_contrast + 1)."""
    n_frames = len(magnitude)
    peak = np.empty((n_frames, params.n_contrast + 1))
    valley = np.empty_like(peak)
    bands = _contrast_bands(params.sr, params.n_fft, params.n_contrast)
    for k, (start, stop, n) in enumerate(bands):
        ordered = np.sort(magnitude[:, start:stop], axis=1)
        valley[:, k] = ordered[:, :n].mean(axis=1)
        peak[:, k] = ordered[:, -n:].mean(axis=1)
    # 80 dB is the range that librosa.power_to_db keeps by default, here as there.
    return _power_to_db(peak, 80.0) - _power_to_db(valley, 80.0)


def _rms_and_zcr(y: np.ndarray, *, n_fft: int, hop_length: int) -> tuple[np.ndarray, np.ndarray]:
    """RMS and zero-crossing rate per frame, each (n_frames,), from running sums."""
    half = n_fft // 2
    starts = np.arange(0, y.size + 2 * half - n_fft + 1, hop_length)
    squares = np.concatenate([[0.0], np.cumsum(np.pad(np.square(y, dtype=np.float64), half))])
    rms = np.sqrt(np.maximum(squares[starts + n_fft] - squares[starts], 0.0) / n_fft)
    # librosa takes samples within 1e-10 of zero for positive zeros, and repeats the end samples.
    negative = np.pad(np.where(np.abs(y) <= 1e-10, 0.0, y) < 0, half, mode="edge")
    crossings = np.concatenate([[0, 0], np.cumsum(negative[1:] != negative[:-1])])
    zcr = (crossings[starts + n_fft] - crossings[starts + 1]) / n_fft
    return rms, zcr


# Filter banks depend on nothing but their arguments: computed once, then shared and read-only.


def _constant(values: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(values, dtype=np.float32)
    values.setflags(write=False)
    return values


@lru_cache(maxsize=8)
def _window(n_fft: int) -> np.ndarray:
    window: np.ndarray = librosa.filters.get_window("hann", n_fft, fftbins=True)
    window.setflags(write=False)
    return window


@lru_cache(maxsize=8)
def _mel_bank(sr: int, n_fft: int, n_mels: int) -> np.ndarray:
    return _constant(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels))


@lru_cache(maxsize=8)
def _chroma_bank(sr: int, n_fft: int, n_chroma: int) -> np.ndarray:
    # Speech has no concert pitch: estimating a tuning would cost more than all the rest.
    return _constant(librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=0.0))


@lru_cache(maxsize=8)
def _contrast_bands(sr: int, n_fft: int, n_bands: int) -> tuple[tuple[int, int, int], ...]:
    """(first bin, last bin + 1, number of peak bins) of each band, as librosa lays them out."""
    frequency = librosa.fft_frequencies(sr=sr, n_fft=n_fft)
    edges = np.concatenate([[0.0], CONTRAST_FMIN * 2.0 ** np.arange(n_bands + 1)])
    bands = []
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = np.flatnonzero((frequency >= low) & (frequency <= high))
        start = inside[0] - (k > 0)
        stop = frequency.size if k == n_bands else inside[-1] + 1
        n = max(1, int(np.rint(CONTRAST_QUANTILE * (stop - start))))
        # Every band but the last leaves its top bin to the next.
        bands.append((int(start), int(stop) - (k < n_bands), n))
    return tuple(bands)
