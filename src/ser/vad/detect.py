"""How much of a recording is speech: by Silero's network where it is installed, else by pitch."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ser.errors import AudioError, ParamsError
from ser.vad import silero
from ser.vad.pitch import speech_spans, total_seconds

#: auto is silero where the extra `vad` is installed, else energy.
Detector = Literal["auto", "silero", "energy"]
#: Probability from which a frame is speech, the network's own default.
LEAST_PROBABILITY = 0.5
#: Peak that a recording is scaled to: at a peak 40 dB lower the network detects nothing.
PEAK = 0.5


def choose_detector(detector: Detector = "auto") -> Literal["silero", "energy"]:
    """The detector that `speech_seconds` uses; ParamsError where it is unknown or not installed."""
    if detector not in ("auto", "silero", "energy"):
        raise ParamsError(
            f"The speech detector is {detector!r}; expected auto, silero or energy. Correct it."
        )
    if detector == "energy" or (detector == "auto" and not silero.installed()):
        return "energy"
    silero.load_weights()
    return "silero"


def speech_seconds(
    y: np.ndarray, *, sr: int, detector: Detector = "auto", enough: float | None = None
) -> float:
    """Seconds of speech in mono y (n_samples,), however loud; no samples have none.

    enough : seconds from which no more are counted, so that a network need not take the rest:
        the result is at least that much wherever all of y holds that much, and above 0 wherever
        there is speech. None: all is counted.
    Raises AudioError where y is not one-dimensional and finite, and as `choose_detector` does.
    """
    chosen = choose_detector(detector)
    check_samples(y)
    if chosen == "energy":
        return total_seconds(speech_spans(y, sr=sr))
    peak = np.abs(y).max(initial=0.0)
    if peak == 0:
        return 0.0
    spoken = 0.0
    for probabilities in silero.probability_blocks(y * (PEAK / peak), sr=sr):
        frames = np.count_nonzero(probabilities >= LEAST_PROBABILITY)
        spoken += frames * silero.FRAME / silero.SR
        if enough is not None and spoken > 0 and spoken >= enough:
            break
    return float(min(spoken, y.size / sr))


def check_samples(y: np.ndarray) -> None:
    """Raise AudioError unless y is finite, (n_samples,)."""
    if y.ndim != 1:
        raise AudioError(f"has shape {y.shape}", "(n_samples,)", "Use mono().")
    if not np.isfinite(y).all():
        raise AudioError("holds NaN or infinite samples", "finite ones", "Decode it again.")
