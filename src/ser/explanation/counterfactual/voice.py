"""A voice taken apart into F0, spectral envelope and aperiodicity, changed, and put together.

WORLD (Morise, Yokomori and Ozawa 2016) by pyworld: F0 by Harvest, envelope by CheapTrick,
aperiodicity by D4C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

#: Between two of WORLD's frames; the synthesis takes another period where the rate changes.
FRAME_MILLISECONDS = 5.0
#: So much voiced speech is needed for a statement about F0.
LEAST_VOICED_SECONDS = 0.15


@dataclass(frozen=True)
class AnalysedVoice:
    """f0 : (n_frames,) Hz, 0 where unvoiced; envelope, aperiodicity : (n_frames, n_bins);
    sr : Hz; n_samples : of the recording."""

    f0: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray
    sr: int
    n_samples: int

    @classmethod
    def of(cls, y: np.ndarray, *, sr: int, f0_min: float, f0_max: float) -> Self:
        """The voice in mono samples y (n_samples,) at `sr` Hz; F0 is sought between the bounds.

        Raises SerError where the extra `insight` is missing.
        """
        from ser.extras import need

        world = need("insight", "pyworld")
        samples = np.ascontiguousarray(y, dtype=np.float64)
        f0, seconds = world.harvest(
            samples, sr, f0_floor=f0_min, f0_ceil=f0_max, frame_period=FRAME_MILLISECONDS
        )
        envelope = world.cheaptrick(samples, f0, seconds, sr)
        return cls(f0, envelope, world.d4c(samples, f0, seconds, sr), sr, y.size)

    @property
    def voiced_seconds(self) -> float:
        return float(np.count_nonzero(self.f0)) * FRAME_MILLISECONDS / 1000

    @property
    def mean_f0(self) -> float | None:
        """Geometric mean of F0 over voiced frames, Hz; None where too little is voiced."""
        if self.voiced_seconds < LEAST_VOICED_SECONDS:
            return None
        return float(np.exp(np.log(self.f0[self.f0 > 0]).mean()))

    def spoken(
        self, *, semitones: float = 0.0, f0_range: float = 1.0, rate: float = 1.0
    ) -> np.ndarray:
        """The voice's samples, float32, changed.

        semitones : by which F0 is raised; f0_range : factor of F0's distance, in semitones, from
        its mean (0: monotone); rate : factor of the speaking rate (2: half as long).
        """
        from ser.extras import need

        world = need("insight", "pyworld")
        f0, voiced = self.f0.copy(), self.f0 > 0
        if voiced.any():
            pitch = np.log2(f0[voiced])
            centre = pitch.mean()
            f0[voiced] = 2 ** (centre + f0_range * (pitch - centre) + semitones / 12)
        y = world.synthesize(
            f0, self.envelope, self.aperiodicity, self.sr, FRAME_MILLISECONDS / rate
        )
        return np.asarray(y[: round(self.n_samples / rate)], dtype=np.float32)
