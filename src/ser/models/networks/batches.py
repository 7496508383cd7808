"""Utterances as padded batches, shuffled, augmented and mixed by (seed, epoch) alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ser.core.augmentation.log_mels import augment, cropped
from ser.errors import TableError
from ser.models.balance import by_turns, epoch_order, rank_within
from ser.models.base import Examples, targets_of
from ser.models.networks.architectures import padded
from ser.params import TrainParams

#: Batches are cut from pools of this many batches sorted by length: little padding, still random.
POOL = 8
EVALUATION_BATCH = 64

#: In a batch by speaker: clips of each speaker, and the number of speakers.
SPEAKER_CLIPS, BATCH_SPEAKERS = 16, 3

#: log_mel (batch, n_frames, n_mels), lengths (batch,), targets (batch, n_classes), speaker
#: (batch,), indices.
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Utterances:
    """log_mel : n arrays (n_frames, n_mels), dB; target, speaker : (n,) indices; augmented : of
    each augmented version n arrays like `log_mel`, of other lengths; corpus : (n,) names, see
    `Examples`."""

    log_mel: Sequence[np.ndarray]
    target: np.ndarray
    speaker: np.ndarray
    augmented: tuple[Sequence[np.ndarray], ...] = ()
    corpus: np.ndarray | None = None
    shares: tuple[float, ...] | None = None

    @classmethod
    def of(cls, examples: Examples, classes: tuple[str, ...]) -> Self:
        """Raises TableError when there is nothing, or an emotion beyond `classes`."""
        target = targets_of(examples.emotion, classes)
        log_mel, *augmented = (
            [np.asarray(x) for x in inputs.log_mel or []]
            for inputs in (examples.inputs, *examples.augmented)
        )
        if not log_mel:
            raise TableError("There is no utterance to train on; expected at least one.")
        speaker = np.unique(examples.speaker, return_inverse=True)[1]
        return cls(log_mel, target, speaker, tuple(augmented), examples.corpus, examples.shares)

    @property
    def n_mels(self) -> int:
        return int(self.log_mel[0].shape[1])

    def digest(self) -> str:
        """SHA-256 of all values: what a checkpoint was trained on."""
        digest = hashlib.sha256(np.stack([self.target, self.speaker]).astype(np.int64).tobytes())
        for version in (self.log_mel, *self.augmented):
            for x in version:
                digest.update(f"{x.shape}{x.dtype}".encode())
                digest.update(np.ascontiguousarray(x).tobytes())
        if self.corpus is not None:
            digest.update("\n".join(self.corpus).encode())
        if self.shares is not None:
            digest.update(repr(self.shares).encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class TrainingBatches:
    """One epoch of training batches; the same (seed, epoch) gives the same ones.

    Each utterance comes once, as recorded or as one of its augmented versions, drawn by their
    shares. Where `utterances` name corpora, each batch draws all of them evenly instead, see
    `epoch_order`.
    by_speaker : each batch holds several clips of each of few speakers, a speaker's clips all of
    one version.
    """

    utterances: Utterances
    n_classes: int
    params: TrainParams
    seed: int
    epoch: int
    by_speaker: bool = False

    def __len__(self) -> int:
        if self.by_speaker:
            return len(self._rows_by_speaker(np.random.default_rng(0)))
        return -(-len(self._order(np.random.default_rng(0))) // self.params.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, self.epoch])
        versions = (self.utterances.log_mel, *self.utterances.augmented)
        shares = np.asarray(self.utterances.shares or np.ones(len(versions)))
        chance = shares / shares.sum()
        for rows in self._rows_by_speaker(rng) if self.by_speaker else self._rows(rng):
            speaker = np.unique(self.utterances.speaker[rows], return_inverse=True)[1]
            alike = speaker if self.by_speaker else np.arange(len(rows))
            version = rng.choice(len(versions), size=len(rows), p=chance)[alike]
            sequences = [
                cropped(
                    augment(versions[v][i], params=self.params.augment, rng=rng),
                    frames=self.params.crop_frames,
                    rng=rng,
                )
                for v, i in zip(version, rows, strict=True)
            ]
            log_mel, lengths = padded(sequences)
            partner = self._partners(speaker, rng)
            log_mel, targets = self._mixed(log_mel, lengths, self._targets(rows), partner, rng)
            yield log_mel, lengths, targets, torch.from_numpy(speaker)

    def _order(self, rng: np.random.Generator) -> np.ndarray:
        return epoch_order(len(self.utterances.target), self.utterances.corpus, rng)

    def _rows(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        size, corpus = self.params.batch_size, self.utterances.corpus
        length = np.array([len(x) for x in self.utterances.log_mel])
        order = self._order(rng)
        batches = []
        for start in range(0, len(order), POOL * size):
            pool = order[start : start + POOL * size]
            # By length within each corpus: else a batch would be of the corpus of short ones.
            rank = rank_within(length[pool], None if corpus is None else corpus[pool])
            pool = pool[np.argsort(rank, kind="stable")]
            batches += np.array_split(pool, -(-len(pool) // size))
        return (batches[i] for i in rng.permutation(len(batches)))

    def _rows_by_speaker(self, rng: np.random.Generator) -> list[np.ndarray]:
        corpus = self.utterances.corpus
        n = len(self.utterances.target)
        everyone = (
            [np.ones(n, bool)] if corpus is None else [corpus == c for c in np.unique(corpus)]
        )
        clips = by_turns([self._clips(own, rng) for own in everyone])
        return [
            np.concatenate(clips[start : start + BATCH_SPEAKERS])
            for start in range(0, len(clips), BATCH_SPEAKERS)
        ]

    def _clips(self, chosen: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Rows of several clips of one speaker each, in random order, of the chosen (n,) rows."""
        speaker = self.utterances.speaker
        clips = []
        for name in np.unique(speaker[chosen]):
            own = rng.permutation(np.flatnonzero(chosen & (speaker == name)))
            clips += np.array_split(own, max(1, len(own) // SPEAKER_CLIPS))
        return [clips[i] for i in rng.permutation(len(clips))]

    def _targets(self, rows: np.ndarray) -> Tensor:
        smoothing = self.params.label_smoothing
        targets = np.full((len(rows), self.n_classes), smoothing / self.n_classes, np.float32)
        targets[np.arange(len(rows)), self.utterances.target[rows]] += 1 - smoothing
        return torch.from_numpy(targets)

    def _partners(self, speaker: np.ndarray, rng: np.random.Generator) -> Tensor:
        """The utterance with which each one of a batch is mixed: (batch,) indices."""
        partner = rng.permutation(len(speaker))
        if self.by_speaker:
            # A mixture of two speakers has no speaker's mean: partners are of the same speaker.
            by_speaker = partner[np.argsort(speaker[partner], kind="stable")]
            partner[np.argsort(speaker, kind="stable")] = by_speaker
        return torch.from_numpy(partner)

    def _mixed(
        self,
        log_mel: Tensor,
        lengths: Tensor,
        targets: Tensor,
        other: Tensor,
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Mixup (Zhang et al. 2018) of each utterance with `other`, (batch,) of its batch."""
        alpha = self.params.augment.mixup
        if alpha == 0:
            return log_mel, targets
        share = torch.from_numpy(rng.beta(alpha, alpha, len(targets)).astype(np.float32))
        # The larger share keeps its place, so that its length stays the right one.
        share = torch.maximum(share, 1 - share)
        # Only frames that both have are mixed.
        frames = torch.arange(log_mel.shape[1])[None]
        both = (frames < torch.minimum(lengths, lengths[other])[:, None])[:, :, None]
        weight = torch.where(both, share[:, None, None], 1.0)
        mixed = weight * log_mel + (1 - weight) * log_mel[other]
        return mixed, share[:, None] * targets + (1 - share[:, None]) * targets[other]


class EvaluationBatches:
    """All utterances unchanged, alike lengths together; targets are one-hot."""

    def __init__(self, utterances: Utterances, *, n_classes: int) -> None:
        order = np.argsort([len(x) for x in utterances.log_mel], kind="stable")
        one_hot = torch.eye(n_classes)[torch.from_numpy(utterances.target)]
        self.batches: list[Batch] = []
        for start in range(0, len(order), EVALUATION_BATCH):
            rows = order[start : start + EVALUATION_BATCH]
            log_mel, lengths = padded([utterances.log_mel[i] for i in rows])
            speaker = torch.from_numpy(utterances.speaker[rows])
            self.batches.append((log_mel, lengths, one_hot[torch.from_numpy(rows)], speaker))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)
