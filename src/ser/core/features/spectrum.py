"""The power spectrogram of a waveform, and what is read from it frame by frame.

librosa's conventions and filter banks, at a fraction of its cost: one spectrogram, block by
block, feeds every descriptor. librosa is not loaded: its filters come with numba, which takes 0.2 s
and 60 MB.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import scipy  # A submodule is loaded at its first use.
import scipy.fft

from ser.params import FeatureParams

#: Frames that are worked on at once: they stay in the processor's cache, and no temporary array
#: is so large that the system has to hand out fresh pages for it, which cost more than the sums.
BLOCK = 48
#: Lowest edge of spectral contrast's octave bands, librosa's default.
CONTRAST_FMIN = 200.0
#: Slaney's mel scale: linear up to this frequency, one mel for each `MEL_HZ`, then logarithmic,
#: 27 mels for each factor of 6.4.
LINEAR_HZ, MEL_HZ, LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27
#: Share of a band's bins that are its peaks and its valleys, librosa's default.
CONTRAST_QUANTILE = 0.02
#: Range of magnitudes that librosa's spectral contrast keeps; it takes them for powers.
CONTRAST_TOP_DB = 80.0


def centred_frames(y: np.ndarray, *, n_fft: int, hop_length: int) -> np.ndarray:
    """A view (n_frames, n_fft) of y (n_samples,), with zeros beyond its ends."""
    y = np.pad(np.asarray(y, dtype=np.float32), n_fft // 2)
    return np.lib.stride_tricks.sliding_window_view(y, n_fft)[::hop_length]


def power_blocks(frames: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """|STFT|² of frames (n_frames, n_fft) under a Hann window, `BLOCK` frames at a time.

    Yields (rows, power): power is float32 (n_rows, 1 + n_fft / 2) and valid until the next one.
    """
    n_fft = frames.shape[1]
    window = hann(n_fft)
    # Double precision until the square, as in librosa: valleys lie deep below the peaks.
    windowed = np.empty((BLOCK, n_fft))
    power, squares = np.empty((2, BLOCK, 1 + n_fft // 2), dtype=np.float32)
    for start in range(0, len(frames), BLOCK):
        block = frames[start : start + BLOCK]
        n = len(block)
        np.multiply(block, window, out=windowed[:n])
        spectrum = scipy.fft.rfft(windowed[:n], axis=1).astype(np.complex64)
        np.square(spectrum.real, out=power[:n])
        np.square(spectrum.imag, out=squares[:n])
        power[:n] += squares[:n]
        yield slice(start, start + n), power[:n]


def scaled_chroma(chroma: np.ndarray) -> np.ndarray:
    """Each frame of chroma (n_frames, n_chroma) scaled to a largest value of 1."""
    peak = chroma.max(axis=1, keepdims=True)
    # A frame without energy stays as it is, as in librosa.util.normalize.
    return chroma / np.where(peak < np.finfo(np.float32).tiny, 1.0, peak)


def count_extremes(params: FeatureParams) -> int:
    """Columns of `band_extremes`."""
    return sum(2 * n for _, _, n in _contrast_bands(params.sr, params.n_fft, params.n_contrast))


def band_extremes(power: np.ndarray, *, params: FeatureParams, out: np.ndarray) -> None:
    """Write each octave band's smallest bins, then its largest, into out (n_frames, …)."""
    column = 0
    for start, stop, n in _contrast_bands(params.sr, params.n_fft, params.n_contrast):
        band = power[:, start:stop]
        if n == 1:
            band.min(axis=1, out=out[:, column])
            band.max(axis=1, out=out[:, column + 1])
        else:
            ordered = np.sort(band, axis=1)
            out[:, column : column + n] = ordered[:, :n]
            out[:, column + n : column + 2 * n] = ordered[:, -n:]
        column += 2 * n


def contrast(extremes: np.ndarray, *, params: FeatureParams) -> np.ndarray:
    """Peak minus valley of each octave band: (n_frames, n_contrast + 1).

    In librosa's unit, 10 · log10 of a magnitude: half as many dB.
    """
    sizes = [n for _, _, n in _contrast_bands(params.sr, params.n_fft, params.n_contrast)]
    magnitude = np.sqrt(extremes)
    starts = np.cumsum([0, *np.repeat(sizes, 2)])[:-1]
    means = np.add.reduceat(magnitude, starts, axis=1) / np.repeat(sizes, 2)
    if params.contrast_top_db is not None:
        floor = means.max(initial=0.0) * 10 ** (-params.contrast_top_db / 20)
        means = np.maximum(means, floor)
    valley = power_to_db(means[:, ::2], CONTRAST_TOP_DB)
    return power_to_db(means[:, 1::2], CONTRAST_TOP_DB) - valley


def power_to_db(power: np.ndarray, top_db: float | None) -> np.ndarray:
    """10 · log10, at least 1e-10 and at most `top_db` below the largest value."""
    db = 10.0 * np.log10(np.maximum(power, 1e-10))
    return db if top_db is None else np.maximum(db, db.max() - top_db)


# Filter banks depend on nothing but their arguments: computed once, then shared and read-only.


@lru_cache(maxsize=8)
def hann(n_fft: int) -> np.ndarray:
    """Hann window (n_fft,), periodic, float64."""
    window: np.ndarray = scipy.signal.get_window("hann", n_fft, fftbins=True)
    window.setflags(write=False)
    return window


@lru_cache(maxsize=8)
def mel_and_chroma_bank(sr: int, n_fft: int, n_mels: int, n_chroma: int) -> np.ndarray:
    """librosa's filter banks side by side: (n_bins, n_mels + n_chroma), float32."""
    mel = _mel_bank(sr, n_fft, n_mels)
    chroma = _chroma_bank(sr, n_fft, n_chroma)
    bank = np.ascontiguousarray(np.concatenate([mel, chroma]).T, dtype=np.float32)
    bank.setflags(write=False)
    return bank


def mel_edges(sr: int, n_mels: int) -> np.ndarray:
    """Edges and centres of the mel bands from 0 to sr / 2, in Hz: (n_mels + 2,)."""
    linear = LINEAR_HZ / MEL_HZ
    highest = linear + np.log(sr / 2 / LINEAR_HZ) / LOG_STEP
    mel = np.linspace(0.0, highest, n_mels + 2)
    edges = MEL_HZ * mel
    beyond = mel >= linear
    edges[beyond] = LINEAR_HZ * np.exp(LOG_STEP * (mel[beyond] - linear))
    return edges


def _mel_bank(sr: int, n_fft: int, n_mels: int) -> np.ndarray:
    """`librosa.filters.mel`, float32 (n_mels, n_bins): triangles of one area, even in mel.

    Slaney (1998), "Auditory Toolbox", as librosa computes it, bit for bit.
    """
    edges = mel_edges(sr, n_mels)
    width = np.diff(edges)[:, None]
    away = np.subtract.outer(edges, np.fft.rfftfreq(n_fft, 1 / sr))
    rising, falling = -away[:-2] / width[:-1], away[2:] / width[1:]
    bank = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    bank *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return bank


def _chroma_bank(sr: int, n_fft: int, n_chroma: int) -> np.ndarray:
    """`librosa.filters.chroma(tuning=0)`, float32 (n_chroma, n_bins), after Ellis (2007).

    librosa's own call has numba compile half a minute's worth of other functions first, again in
    each process where it cannot keep them. Speech has no concert pitch: no tuning is estimated.
    """
    frequency = np.linspace(0, sr, n_fft, endpoint=False)[1:]
    pitch = n_chroma * np.log2(frequency / (440.0 / 16))
    # The bin at 0 Hz stands 1.5 octaves below the first.
    pitch = np.concatenate([[pitch[0] - 1.5 * n_chroma], pitch])
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1]])
    half = np.round(n_chroma / 2)
    away = np.subtract.outer(np.arange(n_chroma, dtype=float), pitch)
    away = np.remainder(-away + half + 10 * n_chroma, n_chroma) - half
    bank = np.exp(-0.5 * (2 * away / width) ** 2)
    bank /= np.sqrt(np.sum(bank**2, axis=0))
    # Bins far from the fifth octave count less.
    bank *= np.exp(-0.5 * ((pitch / n_chroma - 5.0) / 2.0) ** 2)
    from_c = np.roll(bank, -3 * (n_chroma // 12), axis=0)
    return np.ascontiguousarray(from_c[:, : 1 + n_fft // 2], dtype=np.float32)


@lru_cache(maxsize=8)
def _contrast_bands(sr: int, n_fft: int, n_bands: int) -> tuple[tuple[int, int, int], ...]:
    """(first bin, last bin + 1, number of peak bins) of each band, as librosa lays them out."""
    frequency = np.fft.rfftfreq(n_fft, 1 / sr)
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
