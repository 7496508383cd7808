"""Where in a recording somebody speaks, by the pitch alone.

A frame is voice where it is periodic (Boersma 1993, as in `core/features/pitch.py`), loud beside
the loudest, not what sounds all the time, and of more than one partial; and where its pitch moves,
as no hum's, beep's or key's does. What is unvoiced counts where voice is near. Whispers are not
found, and a pitch that glides without being a voice (an engine, a slide guitar) is taken for one.
"""

from __future__ import annotations

import numpy as np

from ser.core.features.pitch import track_f0
from ser.core.features.spectrum import BLOCK, centred_frames, power_blocks
from ser.core.utterance.waveform import resample

#: Hz at which voice is sought; samples of a frame and a hop (64 and 10 ms); Hz of its pitch.
SR, N_FFT, HOP = 8_000, 512, 80
F0_MIN, F0_MAX = 65.0, 500.0
#: Bins below this hold no more of a voice than of the mains.
LOWEST_HZ = 80.0
#: Harmonicity from which a frame is voice: above `VOICED` of that module, which noise may reach.
PERIODIC = 0.6
#: Power of a frame, beside the loudest, below which it is no voice.
RANGE_DB = 30.0
#: What a bin exceeds in nine of ten frames sounds all the time; twice that is still its own
#: fluctuation, and this share of a voice's power lies beyond.
STEADY_QUANTILE, STEADY_MARGIN, LEAST_MOVING = 0.10, 2.0, 0.5
#: Of a bin's median power, what it always has, from which it is hum.
HUM = 0.4
#: The largest share of a voice's power in one bin: whistles and sirens have one partial.
MOST_IN_ONE_BIN = 0.5
#: Octaves that pitch moves from frame to frame within a voiced stretch, at most, and over the
#: whole stretch, at least; and the frames of the shortest stretch.
MOST_JUMP, LEAST_GLIDE, SHORTEST = 0.08, 0.015, 5
#: Seconds of consonants on both sides of a voiced stretch, and of the longest pause within speech.
CONSONANT_SECONDS, PAUSE_SECONDS = 0.10, 0.20

Spans = tuple[tuple[float, float], ...]


def speech_spans(y: np.ndarray, *, sr: int) -> Spans:
    """(start, end) in seconds of each stretch of speech in mono y (n_samples,), of any level."""
    if not y.any():
        return ()
    low = resample(y / np.abs(y).max(), sr_in=sr, sr_out=SR)
    frames = centred_frames(low, n_fft=N_FFT, hop_length=HOP)
    power = np.empty((len(frames), 1 + N_FFT // 2), dtype=np.float32)
    for rows, block in power_blocks(frames):
        power[rows] = block
    power[:, : round(LOWEST_HZ * N_FFT / SR)] = 0.0
    quiet, median = np.quantile(power, [STEADY_QUANTILE, 0.5], axis=0)
    stands_out = _stands_out(power, steady=quiet)
    # Noise fluctuates more than this: what is left out is hum, lest its pitch hide the voice's.
    power[:, quiet > HUM * median] = 0.0
    f0, harmonicity = np.empty((2, len(frames)))
    for start in range(0, len(frames), BLOCK):
        rows = slice(start, start + BLOCK)
        f0[rows], harmonicity[rows] = track_f0(
            power[rows], sr=SR, n_fft=N_FFT, f0_min=F0_MIN, f0_max=F0_MAX
        )
    voiced = (harmonicity >= PERIODIC) & stands_out
    stretches = _stretches(voiced, pitch=np.log2(f0))
    return _joined(stretches, seconds=y.size / sr)


def total_seconds(spans: Spans) -> float:
    """Seconds of all spans together."""
    return float(sum(end - start for start, end in spans))


def _stands_out(power: np.ndarray, *, steady: np.ndarray) -> np.ndarray:
    """True (n_frames,) where power (n_frames, n_bins) is loud, changing and of several partials."""
    total = np.maximum(power.sum(axis=1), np.finfo(np.float32).tiny)
    moving = np.maximum(power - STEADY_MARGIN * steady, 0.0).sum(axis=1)
    loud = total > total.max() * 10 ** (-RANGE_DB / 10)
    rich = power.max(axis=1) <= MOST_IN_ONE_BIN * total
    stands: np.ndarray = loud & rich & (moving >= LEAST_MOVING * total)
    return stands


def _stretches(voiced: np.ndarray, *, pitch: np.ndarray) -> list[tuple[int, int]]:
    """Frames [first, last) over which a voice's pitch (n_frames,), in octaves, glides."""
    follows = voiced[1:] & voiced[:-1] & (np.abs(np.diff(pitch)) < MOST_JUMP)
    edges = np.diff(np.concatenate([[0], follows, [0]]).astype(np.int8))
    found = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) + 1, strict=True)
    return [
        (int(first), int(last))
        for first, last in found
        if last - first >= SHORTEST and np.ptp(pitch[first:last]) >= LEAST_GLIDE
    ]


def _joined(stretches: list[tuple[int, int]], *, seconds: float) -> Spans:
    """Stretches (frames) with the consonants around them, pauses between them bridged."""
    spans: list[tuple[float, float]] = []
    for first, last in stretches:
        start = max(0.0, first * HOP / SR - CONSONANT_SECONDS)
        end = min(seconds, (last - 1) * HOP / SR + CONSONANT_SECONDS)
        if spans and start - spans[-1][1] <= PAUSE_SECONDS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(spans)
