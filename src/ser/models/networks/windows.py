"""Log-mels of any length as windows that a network takes, and a network's interface. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from ser.errors import TableError

#: Log-mel is divided by this many dB, about its spread in speech.
SCALE_DB = 15.0
#: Longer inputs are cut into windows of this many frames, half overlapping, and their embeddings
#: averaged: memory stays bounded, and no window is far longer than those of training.
WINDOW_FRAMES = 600


class Network(Protocol):
    """What a model asks of its network: one in torch, or one that runs without it."""

    n_mels: int

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""

    def embed_all(self, log_mel: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings float64 (n, n_embedding) of n log-mels of any length from one frame on.

        Raises TableError on another number of mels.
        """

    def posteriors(self, embeddings: np.ndarray) -> np.ndarray:
        """What the head makes of embeddings (n, n_embedding): float64 (n, n_classes)."""

    def weights(self) -> dict[str, np.ndarray]:
        """Parameters and running statistics by torch's names, in C order."""


def embedded(
    log_mel: Sequence[np.ndarray],
    embed: Callable[[Sequence[np.ndarray]], np.ndarray],
    *,
    n_mels: int,
    n_embedding: int,
    batch_size: int,
) -> np.ndarray:
    """Embeddings float64 (n, n_embedding) of n log-mels, each the mean over its windows.

    embed : makes (n, n_embedding) of up to `batch_size` windows (n_frames, n_mels).
    Raises TableError on another number of mels.
    """
    sequences = [_checked(np.asarray(x), n_mels) for x in log_mel]
    pieces = [(i, piece) for i, x in enumerate(sequences) for piece in windows(x)]
    # Alike lengths together: less padding.
    pieces.sort(key=lambda piece: len(piece[1]))
    embeddings = np.zeros((len(sequences), n_embedding))
    counts = np.zeros((len(sequences), 1))
    for start in range(0, len(pieces), batch_size):
        batch = pieces[start : start + batch_size]
        found = embed([x for _, x in batch])
        for (i, _), row in zip(batch, found, strict=True):
            embeddings[i] += row
            counts[i] += 1
    return embeddings / counts


def windows(x: np.ndarray) -> list[np.ndarray]:
    """x (n_frames, n_mels) whole, or cut into half-overlapping windows that cover it."""
    if len(x) <= WINDOW_FRAMES:
        return [x]
    last = len(x) - WINDOW_FRAMES
    n = int(np.ceil(last / (WINDOW_FRAMES // 2))) + 1
    return [x[s : s + WINDOW_FRAMES] for s in np.linspace(0, last, n).round().astype(int)]


def _checked(x: np.ndarray, n_mels: int) -> np.ndarray:
    if x.ndim != 2 or x.shape[1] != n_mels or len(x) == 0:
        raise TableError(
            f"A log-mel has shape {x.shape}; the network takes (n_frames, {n_mels}). Extract with "
            "the bundle's own parameters."
        )
    return x
