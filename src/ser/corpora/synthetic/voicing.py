"""From a voice and a prosody to a waveform: espeak-ng's voice, then the signal itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr

from ser.corpora.synthetic import espeak
from ser.corpora.synthetic.prosody import Prosody, Voice

#: Level of neutral speech before the recording's gain, dB re full scale (RMS of the speech).
NEUTRAL_DB = -27.0
PEAK = 0.97

# American English as espeak defines it; the length and strength of its eight stress levels.
_LANGUAGE = """name ser
language en-us
phonemes en-us
dictrules 3 6
stressLength 140 120 190 170 0 0 255 300
stressAmp 17 16 19 19 19 19 21 19
replace 03 I i
replace 03 I2 i
"""


def voice_file(voice: Voice, prosody: Prosody) -> str:
    """The espeak-ng voice file of a speaker with that prosody."""
    low, high = _pitch_range(
        voice.f0_hz * 2 ** (prosody.f0 / 12),
        voice.f0_range_semitones * 2**prosody.f0_range,
    )
    opening = 2**prosody.opening
    formants = [
        f"formant {number} {100 * ratio * (opening if number <= 2 else 1):.0f} "
        f"{100 * strength:.0f} {100 * width:.0f}"
        for number, (ratio, strength, width) in enumerate(
            zip(voice.formants, voice.strengths, voice.widths, strict=True), start=1
        )
    ]
    consonants = 100 * 10 ** (prosody.articulation / 20)
    lines = [
        f"pitch {low:.0f} {high:.0f}",
        f"flutter {voice.flutter}",
        f"roughness {round(np.clip(voice.rough + prosody.rough, 0, 7))}",
        f"consonants {consonants:.0f} {consonants:.0f}",
        *formants,
    ]
    return _LANGUAGE + "\n".join(lines) + "\n"


def render(
    text: str, voice: Voice, prosody: Prosody, *, sr: int, rng: np.random.Generator
) -> np.ndarray:
    """`text` in that voice and prosody, as recorded: float32 (n,), mono, within ±0.97."""
    pauses = rng.uniform(0.08, 0.30, size=2)
    snr_db = voice.snr_db + rng.normal(0, 2)
    words_per_minute = round(np.clip(voice.words_per_minute * 2**prosody.rate, 90, 330))
    y = espeak.synthesize(text, voice_file(voice, prosody), words_per_minute=words_per_minute)
    y = _bend(y, slope=prosody.slope, tremor=max(prosody.tremor, 0.0), rng=rng)
    y = soxr.resample(y, espeak.SR, sr)
    # espeak's own silence at both ends.
    loud = np.flatnonzero(np.abs(y) > 0.002)
    y = y[loud[0] : loud[-1] + 1]
    y = y / np.sqrt(np.mean(y**2))
    y = y + _breath(y, sr=sr, level_db=-31 + voice.breath + prosody.breath, rng=rng)
    y = _tilt(y, sr=sr, db_per_octave=voice.tilt + prosody.tilt)
    y = y / np.sqrt(np.mean(y**2)) * 10 ** (prosody.level / 20)
    y = np.pad(y, [round(sr * s) for s in pauses])
    noise = _noise(y.size, sr=sr, db_per_octave=voice.noise_tilt, rng=rng)
    y = (y + noise * 10 ** (-snr_db / 20)) * 10 ** ((NEUTRAL_DB + voice.gain_db) / 20)
    # A person who shouts steps back from the microphone; the recording does not clip.
    return (y * min(1.0, PEAK / np.abs(y).max())).astype(np.float32)


def _pitch_range(mean_hz: float, span_semitones: float) -> tuple[float, float]:
    """espeak's `pitch` pair that gives a mean and a span (5th to 95th percentile) of F0.

    Fitted to pyin over declarative sentences: mean = low − 9 + 0.755 width, span = 0.92 width.
    """
    span_hz = 2 * mean_hz * np.sinh(np.log(2) * span_semitones / 24)
    width = span_hz / 0.92
    low = max(mean_hz + 9 - 0.755 * width, 40.0)
    return low, low + width


def _bend(y: np.ndarray, *, slope: float, tremor: float, rng: np.random.Generator) -> np.ndarray:
    """F0 bent by playing y faster and slower: `slope` semitones of rise, a 5–7.5 Hz tremor.

    The formants bend as well, by a few per cent, as they do when the larynx moves with pitch.
    """
    seconds = np.arange(y.size) / espeak.SR
    wave = np.sin(2 * np.pi * (rng.uniform(5.0, 7.5) * seconds + rng.uniform()))
    semitones = slope * np.linspace(-0.5, 0.5, y.size) + tremor * wave
    position = np.cumsum(2 ** (semitones / 12))
    position *= y.size / position[-1]
    # Linear interpolation is harmless to speech at twice its sampling rate.
    fine = soxr.resample(y, espeak.SR, 2 * espeak.SR)
    return np.interp(2 * position, np.arange(fine.size), fine)


def _breath(y: np.ndarray, *, sr: int, level_db: float, rng: np.random.Generator) -> np.ndarray:
    """Aspiration: noise above about 1.5 kHz that follows the voice's envelope."""
    window = np.hanning(round(0.01 * sr))
    power = np.convolve(y**2, window / window.sum(), mode="same")
    noise = _filter(rng.standard_normal(y.size), lambda hz: hz**2 / (hz**2 + 1500.0**2), sr=sr)
    return noise * np.sqrt(power) * 10 ** (level_db / 20)


def _tilt(y: np.ndarray, *, sr: int, db_per_octave: float) -> np.ndarray:
    """y with a straight spectral slope from 250 Hz to 6 kHz about 1 kHz, level beyond."""
    return _filter(y, lambda hz: _slope(np.clip(hz, 250, 6000), db_per_octave), sr=sr)


def _noise(n: int, *, sr: int, db_per_octave: float, rng: np.random.Generator) -> np.ndarray:
    """A room's noise: Gaussian, coloured, of RMS 1."""
    white = rng.standard_normal(n)
    noise = _filter(white, lambda hz: _slope(np.maximum(hz, 50), db_per_octave), sr=sr)
    return noise / np.sqrt(np.mean(noise**2))


def _slope(hz: np.ndarray, db_per_octave: float) -> np.ndarray:
    """Gain at each frequency, 1 at 1 kHz."""
    return 10 ** (db_per_octave * np.log2(hz / 1000) / 20)


def _filter(y: np.ndarray, gain: Callable[[np.ndarray], np.ndarray], *, sr: int) -> np.ndarray:
    """y through a zero-phase filter whose gain is a function of frequency in Hz."""
    # A multiple of 4096 has small factors, which other lengths may lack: 20 times faster.
    size = -(-y.size // 4096) * 4096
    hz = np.fft.rfftfreq(size, 1 / sr)
    return np.fft.irfft(np.fft.rfft(y, n=size) * gain(hz), n=size)[: y.size]
