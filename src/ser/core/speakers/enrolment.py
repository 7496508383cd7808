"""Knowing a speaker from unlabelled clips: what is that voice's, and what the emotion's. Pure.

A clip is one vector, a model's embedding of it. A voice is the mean and spread of a speaker's
embeddings, and what is read is how far a clip lies from that. A speaker who is known by few clips
is taken to be partly an average one, and one who is not known at all wholly so (empirical Bayes):
training, evaluation and serving apply one formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np

#: Bounds of `Enrolment.prior`, in clips.
LEAST_PRIOR, MOST_PRIOR = 0.1, 20.0
#: What varies less than this, in its own unit, is not stretched.
LEAST_SCALE = 1e-6


#: What a model noted of how one speaker expresses emotions; of several models, one note of each.
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

    mean : of all speakers; scale : the deviation within a speaker; prior : how many clips of
    one's own tell as much of one's mean as speakers in general do. That is the variance of a
    speaker's clips over that of the speakers, for a mean of n clips errs by the former over n.
    """

    mean: np.ndarray
    scale: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, *, speaker: np.ndarray) -> Self:
        """Learn what voices have in common from embeddings (n, d) of speakers (n,)."""
        own = [embeddings[rows].astype(np.float64) for rows in rows_of(speaker).values()]
        means = np.stack([clips.mean(axis=0) for clips in own])
        spread = np.mean([clips.var(axis=0) for clips in own], axis=0)
        # What the speakers' means would differ by, were there no difference but chance.
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
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("mean", "scale", "prior")
            )
        )

    def voice(self, embeddings: np.ndarray) -> Voice:
        """A speaker's voice from unlabelled clips (n, d); from none it is the average one."""
        clips = len(embeddings)
        if not clips:
            return Voice(self.mean, self.scale, 0)
        share = clips / (clips + self.prior)
        mean = embeddings.mean(axis=0, dtype=np.float64)
        # One clip has a mean and no spread.
        spread = (clips - 1) / (clips - 1 + self.prior)
        variance = np.square(embeddings - mean).sum(axis=0) / max(clips - 1, 1)
        return Voice(
            mean=share * mean + (1 - share) * self.mean,
            scale=np.sqrt(spread * variance + (1 - spread) * self.scale**2),
            clips=clips,
        )

    def standardised(self, embeddings: np.ndarray, voice: Voice | None) -> np.ndarray:
        """Embeddings (n, d) by how far they lie from the voice, or from an unknown one: float64."""
        known = voice or self.voice(embeddings[:0])
        return (embeddings - known.mean) / np.maximum(known.scale, LEAST_SCALE)

    def by_speaker(self, embeddings: np.ndarray, *, speaker: np.ndarray) -> np.ndarray:
        """All embeddings (n, d) standardised, each speaker known by all clips of his or hers."""
        result = np.empty(embeddings.shape)
        for rows in rows_of(speaker).values():
            result[rows] = self.standardised(embeddings[rows], self.voice(embeddings[rows]))
        return result


def rows_of(speaker: np.ndarray) -> dict[str, np.ndarray]:
    """Places of each speaker's clips, speakers in sorted order."""
    return {str(name): np.flatnonzero(speaker == name) for name in np.unique(speaker)}
