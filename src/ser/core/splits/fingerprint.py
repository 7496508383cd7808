"""A fingerprint that copies of a recording share, however they were coded, levelled or padded.

It has two parts, of our own design. The *rhythm* (magnitudes of the modulation spectra of four
bands) does not change when a recording is shifted, and finds neighbours fast. The *wave* (signs of
the waveform between 300 and 900 Hz around its densest speech) leaves one candidate in a thousand
neighbours. Whether two candidates are one recording is decided by their samples
(`ser.core.splits.likeness`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import scipy
import soxr

from ser.core.splits.likeness import band_pass

#: Rate (Hz) of the samples that the rhythm is made from, and its frames (samples).
SR = 8_000
N_FFT, HOP = 512, 80
#: Bands of the rhythm, in the range (Hz) of a telephone.
BANDS = 4
F_MIN, F_MAX = 200.0, 3600.0
#: dB below the loudest frame that are silence.
RANGE_DB = 30.0
#: dB below the loudest block that are speech, and the window that its density is smoothed by.
SPEECH_DB, DENSITY_SECONDS = 18.0, 0.7
#: dB below the loudest block beyond which the ends of a recording hold no sound.
SOUND_DB = 50.0
#: Frames around the densest place (5.12 s), and the modulation frequencies kept (0.2 … 3.1 Hz).
RHYTHM_FRAMES, MODULATIONS = 512, 16
#: log1p of a modulation's magnitude (dB) lies in 0 … 10: this scales it to a byte.
RHYTHM_SCALE = 12.0
#: The wave's rate and band, and how many signs are kept (1.024 s).
WAVE_SR = 2_000
WAVE_BAND = (300.0, 900.0)
WAVE_SAMPLES = 2048
#: The shortest recording that has a fingerprint.
MIN_SECONDS = 0.25
#: Peak below which a recording is silence.
SILENT = 1e-4

RHYTHM = BANDS * MODULATIONS
WAVE = WAVE_SAMPLES // 8
#: Bytes: rhythm, first and last block of the wave that holds signal, wave.
LENGTH = RHYTHM + 2 + WAVE
BLOCK = WAVE_SAMPLES // 128
#: Seconds that the densest places of two copies may lie apart.
MAX_SHIFT = 0.5
#: Similarity of waves from which two recordings are candidates. Of 100 copies each by MP3 at
#: 32 kbit/s, Opus at 6 kbit/s, a telephone band, noise at 15 dB, padding or trimming none lies
#: below; of 11,000 pairs of neighbours that are no copies, 12 lie above. A changed speed loses all.
CANDIDATE = 0.2


def fingerprint(y: np.ndarray, *, sr: int) -> bytes | None:
    """LENGTH bytes for y (n_samples,), mono, at any rate; None for silence or under 0.25 s."""
    if y.size < MIN_SECONDS * sr or not np.abs(y).max() > SILENT:
        return None
    low = soxr.resample(y.astype(np.float32), sr, SR, quality="LQ") if sr != SR else y
    narrow = soxr.resample(low, SR, WAVE_SR, quality="HQ")
    narrow = scipy.signal.sosfiltfilt(band_pass(WAVE_BAND, WAVE_SR), narrow)
    loudness = _loudness(narrow)
    if loudness is None:
        return None
    anchor = _densest(loudness)
    return _rhythm(low, anchor).tobytes() + _wave(narrow, loudness, anchor)


def stack(fingerprints: Iterable[bytes]) -> np.ndarray:
    """Fingerprints as one array, uint8 (n, LENGTH)."""
    # One by one: a list of a million of them would fill the memory.
    return np.fromiter(fingerprints, dtype=f"S{LENGTH}").view(np.uint8).reshape(-1, LENGTH)


def rhythms(fingerprints: np.ndarray) -> np.ndarray:
    """The rhythms, float32 (n, RHYTHM), of fingerprints uint8 (n, LENGTH)."""
    return fingerprints[:, :RHYTHM].astype(np.float32)


def waves(fingerprints: np.ndarray) -> np.ndarray:
    """The waves, float32 (n, WAVE_SAMPLES): 1 or -1, and 0 beyond the recording's ends."""
    signs = np.unpackbits(fingerprints[:, RHYTHM + 2 :], axis=1).astype(np.float32) * 2 - 1
    block = np.arange(WAVE_SAMPLES) // BLOCK
    first, last = fingerprints[:, RHYTHM, None], fingerprints[:, RHYTHM + 1, None]
    return np.where((block >= first) & (block <= last), signs, np.float32(0.0))


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation, (n,) in 0 … 1, of waves a and b (n, WAVE_SAMPLES) at the lag that fits best."""
    lags = round(MAX_SHIFT * WAVE_SR)
    length = scipy.fft.next_fast_len(WAVE_SAMPLES + lags, real=True)
    spectrum = scipy.fft.rfft(a, length, axis=1)
    spectrum *= np.conj(scipy.fft.rfft(b, length, axis=1))
    correlation = scipy.fft.irfft(spectrum, length, axis=1)
    # An inverted copy is a copy.
    best = np.maximum(
        np.abs(correlation[:, : lags + 1]).max(axis=1), np.abs(correlation[:, -lags:]).max(axis=1)
    )
    return best / np.sqrt(np.maximum(np.abs(a).sum(axis=1) * np.abs(b).sum(axis=1), 1.0))


def needed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The similarity that makes waves a and b (n, WAVE_SAMPLES) candidates.

    Short waves correlate more by chance, by the square root of their length.
    """
    shorter = np.minimum(np.abs(a).sum(axis=1), np.abs(b).sum(axis=1))
    return np.minimum(CANDIDATE * np.sqrt(WAVE_SAMPLES / np.maximum(shorter, 1.0)), 0.9)


def _loudness(narrow: np.ndarray) -> np.ndarray | None:
    """dB of each block of the wave, 0 at the loudest; None for silence."""
    blocks = narrow[: narrow.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    power = np.einsum("ij,ij->i", blocks, blocks)
    if not power.max(initial=0.0) > 0:
        return None
    return 10 * np.log10(np.maximum(power / power.max(), 1e-12))


def _densest(loudness: np.ndarray) -> float:
    """Seconds from the start to the densest speech.

    The centre of energy would lie in a pause of a long recording, and move with a codec's gains.
    """
    speech = np.maximum(loudness + SPEECH_DB, 0.0)
    smooth = scipy.ndimage.gaussian_filter1d(
        speech, DENSITY_SECONDS * WAVE_SR / BLOCK, mode="constant"
    )
    return float((smooth.argmax() + 0.5) * BLOCK / WAVE_SR)


def _rhythm(y: np.ndarray, anchor: float) -> np.ndarray:
    """Magnitudes of the bands' modulation spectra around `anchor`, of y at SR: uint8 (RHYTHM,)."""
    padded = np.pad(y, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    half = RHYTHM_FRAMES // 2
    centre = round(anchor * SR / HOP)
    first = max(0, centre - half)
    spectrum = scipy.fft.rfft(frames[first : centre + half] * _window(), axis=1)
    power: np.ndarray = np.square(spectrum.real) + np.square(spectrum.imag)
    db = 10 * np.log10(np.maximum(power @ _bank(), 1e-20))
    # Not the maximum: clipping and codecs change it.
    floor = np.quantile(db.max(axis=1), 0.98) - RANGE_DB
    loudness = np.maximum(db - floor, 0.0)
    modulation = np.abs(scipy.fft.rfft(loudness, RHYTHM_FRAMES, axis=0))
    kept = np.log1p(modulation[1 : MODULATIONS + 1])
    return np.clip(np.round(RHYTHM_SCALE * kept), 0, 255).astype(np.uint8).ravel()


def _wave(narrow: np.ndarray, loudness: np.ndarray, anchor: float) -> bytes:
    """First and last block with sound, and packed signs, of a narrow-band waveform."""
    half = WAVE_SAMPLES // 2
    centre = round(anchor * WAVE_SR)
    signs = np.pad(narrow > 0, half)[centre : centre + WAVE_SAMPLES]
    # In digital silence the signs are those of the filter's ringing, the same in every recording.
    loud = np.flatnonzero(loudness > -SOUND_DB)
    offset = (half - centre) / BLOCK
    first = int(np.clip(np.ceil(loud[0] + offset), 0, 127))
    last = int(np.clip(np.floor(loud[-1] + offset), first, 127))
    return bytes([first, last]) + np.packbits(signs).tobytes()


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return scipy.signal.get_window("hann", N_FFT).astype(np.float32)


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """Band of each bin, one-hot (n_bins, BANDS); bands are equally wide in octaves."""
    frequency = scipy.fft.rfftfreq(N_FFT, 1 / SR)
    edges = np.geomspace(F_MIN, F_MAX, BANDS + 1)
    place = np.searchsorted(edges, frequency, side="right") - 1
    return (place[:, None] == np.arange(BANDS)).astype(np.float32)
