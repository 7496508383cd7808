"""Sounds beside speech, made from chance, and their mixing with it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # A submodule is loaded at its first use.
import scipy.fft

#: Blocks whose level decides what is speech, and how far below the loudest ones it lies.
BLOCK_SECONDS, ACTIVE_DB, LOUD_PERCENTILE = 0.020, 25.0, 95
#: dB an octave of the named colours.
COLOURS = {"white": 0.0, "pink": -3.0, "brown": -6.0}
#: Coloured noise is white below this frequency, so that it has a finite level.
LOWEST_HZ = 20.0
#: Chords of `music`, in semitones over the root of a key; the harmonics of a note.
CHORDS, HARMONICS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)), 6


def active_rms(y: np.ndarray, *, sr: int) -> float:
    """Root mean square of y (n_samples,) where it is loud: pauses do not count.

    After ITU-T P.56's idea, with blocks of 20 ms; 0 for silence.
    """
    if y.size == 0:
        return 0.0
    block = min(y.size, max(1, round(BLOCK_SECONDS * sr)))
    starts = np.arange(0, y.size, block)
    sizes = np.diff([*starts, y.size])
    power = np.add.reduceat(np.square(y, dtype=np.float64), starts) / sizes
    loud = np.percentile(power, LOUD_PERCENTILE)
    active = power >= loud * 10 ** (-ACTIVE_DB / 10)
    return float(np.sqrt(np.average(power[active], weights=sizes[active])))


def mixed(y: np.ndarray, noise: np.ndarray, *, sr: int, snr_db: float) -> np.ndarray:
    """y (n_samples,) with noise (m,) so many dB below its `active_rms`: float32 (n_samples,).

    A noise that is shorter is repeated, a longer one is cut. Silent noise changes nothing.
    """
    noise = np.resize(np.asarray(noise, dtype=np.float64), y.size)
    own = np.sqrt(np.mean(np.square(noise))) if noise.size else 0.0
    if own == 0:
        return np.asarray(y, dtype=np.float32)
    gain = active_rms(y, sr=sr) / own * 10 ** (-snr_db / 20)
    return np.asarray(y + noise * gain, dtype=np.float32)


def coloured(n: int, *, sr: int, db_per_octave: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise (n,) whose spectrum falls or rises by so many dB an octave, RMS 1: float32.

    Drawn in the frequency domain (Timmer and König 1995).
    """
    size = scipy.fft.next_fast_len(max(n, 2), real=True)
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / sr), LOWEST_HZ)
    shape = 10 ** (db_per_octave * np.log2(hertz / LOWEST_HZ) / 20)
    spectrum = shape * (rng.standard_normal(hertz.size) + 1j * rng.standard_normal(hertz.size))
    spectrum[0] = 0.0
    return _unit(scipy.fft.irfft(spectrum, size)[:n])


def babble(
    n: int, *, sr: int, voices: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """All of `voices` speaking at once, each from a random place on and again: (n,), RMS 1.

    voices : samples of other recordings, (m,) each, at one rate; each is as loud as the others.
    """
    sum_ = np.zeros(n)
    for voice in voices:
        level = active_rms(voice, sr=sr)
        if level > 0:
            sum_ += np.resize(np.roll(voice, -int(rng.integers(voice.size))), n) / level
    return _unit(sum_)


def music(n: int, *, sr: int, rng: np.random.Generator) -> np.ndarray:
    """Like music: chords of plucked notes on a beat, in a random key and tempo: (n,), RMS 1."""
    beat = 60 / rng.uniform(70, 140)
    root = 110 * 2 ** (rng.integers(12) / 12)
    y = np.zeros(n)
    for place in range(int(np.ceil(n / sr / beat)) + 1):
        start = round((place - rng.uniform() * (place == 0)) * beat * sr)
        chord = CHORDS[place // 4 % len(CHORDS)]
        notes = [chord[place % len(chord)] + 12, *(chord if place % 2 == 0 else ())]
        for note in notes:
            length = max(0, min(n, start + round(2 * beat * sr)) - max(start, 0))
            skipped = max(0, -start)
            time = (np.arange(length) + skipped) / sr
            partials = np.arange(1, HARMONICS + 1)
            waves = np.sin(
                2 * np.pi * root * 2 ** (note / 12) * np.outer(partials, time)
                + rng.uniform(0, 2 * np.pi, (HARMONICS, 1))
            )
            envelope = np.exp(-np.outer(partials, time) / beat) / partials[:, None]
            y[max(start, 0) : max(start, 0) + length] += (waves * envelope).sum(axis=0)
    return _unit(y)


def hum(n: int, *, sr: int, rng: np.random.Generator, mains_hz: float = 50.0) -> np.ndarray:
    """Mains hum: a buzz of harmonics of the mains of random strength, RMS 1: float32 (n,)."""
    time = np.arange(n) / sr
    y = np.zeros(n)
    for partial in range(1, int(min(1000.0, sr / 2) // mains_hz) + 1):
        level = rng.uniform(0.2, 1.0) / partial
        y += level * np.sin(2 * np.pi * mains_hz * partial * time + rng.uniform(0, 2 * np.pi))
    return _unit(y)


def coughs(
    n: int, *, sr: int, rng: np.random.Generator, seconds_between: float = 1.0
) -> np.ndarray:
    """Like coughs: a burst of air, then what follows of it, at random times, RMS 1: float32 (n,).

    One at least, however short the recording.
    """
    y = np.zeros(n)
    for _ in range(max(1, round(n / sr / seconds_between))):
        length = round(rng.uniform(0.25, 0.45) * sr)
        time = np.arange(length) / sr
        burst = np.exp(-time / rng.uniform(0.015, 0.03))
        after = rng.uniform(0.15, 0.35) * np.sin(np.pi * np.minimum(time * sr / length, 1))
        air = rng.standard_normal(length)
        # A throat and mouth that are wide open: one broad resonance.
        centre = rng.uniform(500, 1500)
        sos = scipy.signal.butter(
            1, [centre / 2, min(2.5 * centre, 0.45 * sr)], btype="bandpass", output="sos", fs=sr
        )
        cough = (burst + after) * scipy.signal.sosfilt(sos, air)
        start = int(rng.integers(max(1, n - length // 2)))
        y[start : start + length] += cough[: max(0, n - start)]
    return _unit(y)


def _unit(y: np.ndarray) -> np.ndarray:
    """y (n,) with a root mean square of 1, float32; silence as it is."""
    level = np.sqrt(np.mean(np.square(y))) if y.size else 0.0
    return np.asarray(y / (level or 1.0), dtype=np.float32)
