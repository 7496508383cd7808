"""Enrolment: embeddings standardised by the voice of their speaker, from unlabelled clips. Pure.

A voice is the mean and deviation of the embeddings of a speaker's clips. The fewer clips, the more
it is drawn towards the average speaker, which stands for a speaker without clips (empirical Bayes).
Training, evaluation and serving apply one formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np

#: Bounds of `Enrolment.prior`, in clips.
LEAST_PRIOR, MOST_PRIOR = 0.1, 20.0
#: Least scale, in the embeddings' own unit.
LEAST_SCALE = 1e-6
#: A model's note of how one speaker expresses emotions; of an ensemble, one of each member.
OwnEmotions: TypeAlias = "np.ndarray | tuple[OwnEmotions, ...] | None"


@dataclass(frozen=True)
class Voice:
    """mean, scale : float64 (d,), over a speaker's clips; clips : how many those were;
    emotions : see `OwnEmotions`."""

    mean: np.ndarray
    scale: np.ndarray
    clips: int
    emotions: OwnEmotions = None


@dataclass(frozen=True)
class Enrolment:
    """What voices have in common; all float64 (d,).

    mean : of all speakers; scale : deviation within a speaker; prior : number of clips at which
    a speaker's own mean weighs as much as that of all speakers. That is the variance within
    speakers over the variance between them.
    """

    mean: np.ndarray
    scale: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, *, speaker: np.ndarray) -> Self:
        """Estimate it from embeddings (n, d) of speakers (n,)."""
        own = [embeddings[rows].astype(np.float64) for rows in rows_of(speaker).values()]
        means = np.stack([clips.mean(axis=0) for clips in own])
        spread = np.mean([clips.var(axis=0) for clips in own], axis=0)
        # Variance of the speakers' means by chance alone.
        chance = spread * np.mean([1 / len(clips) for clips in own])
        among = np.maximum(means.var(axis=0) - chance, LEAST_SCALE**2)
        return cls(
            mean=means.mean(axis=0),
            scale=np.maximum(np.sqrt(spread), LEAST_SCALE),
            prior=np.clip(spread / among, LEAST_PRIOR, MOST_PRIOR),
        )

    @classmethod
    def joined(cls, parts: Sequence[Enrolment]) -> Self:
        """The enrolment for the parts' embeddings side by side."""
        return cls(
            mean=np.concatenate([part.mean for part in parts]),
            scale=np.concatenate([part.scale for part in parts]),
            prior=np.concatenate([part.prior for part in parts]),
        )

    def voice(self, embeddings: np.ndarray) -> Voice:
        """A speaker's voice from unlabelled clips (n, d); without clips, the average voice."""
        clips = len(embeddings)
        if not clips:
            return Voice(self.mean, self.scale, 0)
        share = clips / (clips + self.prior)
        mean = embeddings.mean(axis=0, dtype=np.float64)
        # One clip has no deviation.
        spread = (clips - 1) / (clips - 1 + self.prior)
        variance = np.square(embeddings - mean).sum(axis=0) / max(clips - 1, 1)
        return Voice(
            mean=share * mean + (1 - share) * self.mean,
            scale=np.sqrt(spread * variance + (1 - spread) * self.scale**2),
            clips=clips,
        )

    def standardised(self, embeddings: np.ndarray, voice: Voice | None) -> np.ndarray:
        """Embeddings (n, d) standardised by the voice, None if unknown: float64."""
        known = voice or self.voice(embeddings[:0])
        return (embeddings - known.mean) / np.maximum(known.scale, LEAST_SCALE)

    def by_speaker(self, embeddings: np.ndarray, *, speaker: np.ndarray) -> np.ndarray:
        """All embeddings (n, d) standardised, each speaker enrolled with all own clips."""
        result = np.empty(embeddings.shape)
        for rows in rows_of(speaker).values():
            result[rows] = self.standardised(embeddings[rows], self.voice(embeddings[rows]))
        return result


def rows_of(speaker: np.ndarray) -> dict[str, np.ndarray]:
    """Row numbers of each speaker's clips, speakers in sorted order."""
    return {str(name): np.flatnonzero(speaker == name) for name in np.unique(speaker)}
