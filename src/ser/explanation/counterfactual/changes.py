"""The ways in which a recording is changed until the answer does, and their natural bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ser.core.distortion.bands import tilted
from ser.explanation.counterfactual.voice import AnalysedVoice

#: Samples stay this far below full scale, so that no change of level clips.
HEADROOM = 0.98


@dataclass(frozen=True)
class Recorded:
    """Mono samples y (n_samples,) at `sr` Hz, and the voice in them."""

    y: np.ndarray
    sr: int
    voice: AnalysedVoice

    @property
    def headroom_db(self) -> float:
        peak = float(np.abs(self.y).max(initial=0.0))
        return float(20 * np.log10(HEADROOM / peak)) if peak > 0 else 0.0


@dataclass(frozen=True)
class Dimension:
    """What is changed, by amounts in `unit`; 0 leaves it as it is.

    least, most : bounds within which speech stays natural; step : of the first search; precision :
    to which the smallest change is found. change : makes samples. by_voice : whether the voice is
    synthesised again. needs_f0 : whether it says nothing of speech without F0.
    """

    name: str
    unit: str
    least: float
    most: float
    step: float
    precision: float
    change: Callable[[Recorded, float], np.ndarray]
    by_voice: bool = True
    needs_f0: bool = False

    def amounts(self, sign: int) -> list[float]:
        """The steps from the smallest to the bound, upwards (1) or downwards (-1)."""
        bound = self.most if sign > 0 else -self.least
        n = int(np.ceil(bound / self.step - 1e-9)) if bound >= self.precision else 0
        return [sign * min(self.step * k, bound) for k in range(1, n + 1)]

    def said(self, amount: float) -> str:
        """
        >>> DIMENSIONS[1].said(-40.0), DIMENSIONS[0].said(2.5)
        ('F0 range −40 %', 'F0 +2.5 semitones')
        """
        return f"{self.name} {signed(amount)} {self.unit}"


def signed(amount: float) -> str:
    """
    >>> signed(-4.0), signed(0.25), signed(0.0)
    ('−4', '+0.25', '0')
    """
    number = f"{abs(amount):.2f}".rstrip("0").rstrip(".")
    return number if number == "0" else f"{'−' if amount < 0 else '+'}{number}"


def _level(recorded: Recorded, db: float) -> np.ndarray:
    return np.asarray(recorded.y * np.float32(10 ** (db / 20)), dtype=np.float32)


def _tilt(recorded: Recorded, db: float) -> np.ndarray:
    """Tilted, at the level of before: only the tilt shall be changed. It may exceed full scale."""
    y = tilted(recorded.y, sr=recorded.sr, db_per_octave=db)
    power = float(np.square(y, dtype=np.float64).mean())
    before = float(np.square(recorded.y, dtype=np.float64).mean())
    return y * np.float32(np.sqrt(before / power)) if power > 0 else y


#: In the order in which they are told.
DIMENSIONS = (
    Dimension(
        *("F0", "semitones", -8.0, 8.0, 2.0, 0.25),
        change=lambda recorded, amount: recorded.voice.spoken(semitones=amount),
        needs_f0=True,
    ),
    Dimension(
        *("F0 range", "%", -100.0, 100.0, 20.0, 5.0),
        change=lambda recorded, amount: recorded.voice.spoken(f0_range=1 + amount / 100),
        needs_f0=True,
    ),
    Dimension(
        *("speaking rate", "%", -40.0, 60.0, 10.0, 2.5),
        change=lambda recorded, amount: recorded.voice.spoken(rate=1 + amount / 100),
    ),
    Dimension(*("level", "dB", -20.0, 20.0, 10.0, 1.0), change=_level, by_voice=False),
    Dimension(*("spectral tilt", "dB/octave", -6.0, 6.0, 1.0, 0.25), change=_tilt, by_voice=False),
)


def of_recording(recorded: Recorded) -> list[Dimension]:
    """The dimensions, the level no louder than the recording has headroom for."""
    from dataclasses import replace

    room = float(np.floor(max(recorded.headroom_db, 0.0)))
    return [
        replace(own, most=min(own.most, room)) if own.name == "level" else own for own in DIMENSIONS
    ]
