"""Knowing a speaker from unlabelled clips: what is that voice's, and what the emotion's. Pure.

A voice is the mean and spread of a speaker's features. A speaker who is known by few clips is
taken to be partly an average one, and one who is not known at all wholly so (empirical Bayes):
training, evaluation and serving apply one formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

#: Bounds of `Enrolment.prior`, in clips.
LEAST_PRIOR, MOST_PRIOR = 0.1, 20.0
#: Features that vary less than this, in their own unit, are left as they are.
LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Voice:
    """mean, scale : float64 (n_features,), over a speaker's clips; clips : how many those were."""

    mean: np.ndarray
    scale: np.ndarray
    clips: int


@dataclass(frozen=True)
class Enrolment:
    """What voices have in common; all (n_features,).

    mean : of all speakers; scale : the deviation within a speaker; prior : how many clips of
    one's own tell as much of one's mean as speakers in general do. That is the variance of a
    speaker's clips over that of the speakers, for a mean of n clips errs by the former over n.
    """

    mean: np.ndarray
    scale: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, clips: Sequence[np.ndarray], *, speaker: np.ndarray) -> Self:
        """Learn what voices have in common.

        clips : n arrays (n_frames, n_features), or (1, n_features) where a clip is one vector.
        speaker : (n,).
        """
        by_speaker = [[clips[i] for i in rows] for rows in rows_of(speaker).values()]
        voices = [moments(own) for own in by_speaker]
        means = np.stack([mean for mean, _ in voices])
        # Of a mean over a clip's frames, within one speaker; a single clip tells nothing of it.
        spread = np.mean(
            [np.var([c.mean(axis=0) for c in own], axis=0) for own in by_speaker], axis=0
        )
        # What the speakers' means would differ by, were there no difference but chance.
        chance = spread * np.mean([1 / len(own) for own in by_speaker])
        among = np.maximum(means.var(axis=0) - chance, LEAST_SCALE**2)
        return cls(
            mean=means.mean(axis=0),
            scale=np.sqrt(np.mean([variance for _, variance in voices], axis=0)),
            prior=np.clip(spread / among, LEAST_PRIOR, MOST_PRIOR),
        )

    def voice(self, clips: Sequence[np.ndarray]) -> Voice:
        """A speaker's voice from unlabelled clips; from none it is the average one."""
        if not clips:
            return Voice(self.mean, self.scale, 0)
        mean, variance = moments(clips)
        share = len(clips) / (len(clips) + self.prior)
        return Voice(
            mean=share * mean + (1 - share) * self.mean,
            scale=np.sqrt(share * variance + (1 - share) * self.scale**2),
            clips=len(clips),
        )

    def heard_as_average(self, clip: np.ndarray, voice: Voice) -> np.ndarray:
        """The clip (n_frames, n_features) as the average speaker would have said it: float32."""
        ratio = np.where(
            np.minimum(voice.scale, self.scale) > LEAST_SCALE,
            self.scale / np.maximum(voice.scale, LEAST_SCALE),
            1.0,
        )
        return ((clip - voice.mean) * ratio + self.mean).astype(np.float32)

    def by_speaker(self, clips: Sequence[np.ndarray], *, speaker: np.ndarray) -> list[np.ndarray]:
        """All clips as the average speaker's, each speaker known by all clips of his or hers."""
        heard: dict[int, np.ndarray] = {}
        for rows in rows_of(speaker).values():
            voice = self.voice([clips[i] for i in rows])
            heard |= {int(i): self.heard_as_average(clips[i], voice) for i in rows}
        return [heard[i] for i in range(len(clips))]


def rows_of(speaker: np.ndarray) -> dict[str, np.ndarray]:
    """Places of each speaker's clips, speakers in sorted order."""
    return {str(name): np.flatnonzero(speaker == name) for name in np.unique(speaker)}


def moments(clips: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over the frames of all clips: float64, (n_features,) each."""
    frames = np.concatenate([np.asarray(clip, dtype=np.float64) for clip in clips])
    return frames.mean(axis=0), frames.var(axis=0)
