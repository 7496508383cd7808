"""Embeddings of log-mels of any length."""

from __future__ import annotations

import numpy as np
import torch

from ser.errors import TableError
from ser.models.base import Inputs
from ser.models.networks.architectures import EmotionNetwork, padded

#: Longer inputs are cut into windows of this many frames, half overlapping, and their embeddings
#: averaged: memory stays bounded, and no window is far longer than those of training.
WINDOW_FRAMES = 600
BATCH_SIZE = 32


@torch.no_grad()
def embed_sequences(network: EmotionNetwork, inputs: Inputs) -> np.ndarray:
    """Embeddings float64 (n, n_embedding) of log-mels; raises TableError on another shape."""
    sequences = [_checked(np.asarray(x), network.n_mels) for x in inputs.log_mel or []]
    embeddings = np.zeros((len(sequences), network.n_embedding))
    pieces = [(i, piece) for i, x in enumerate(sequences) for piece in windows(x)]
    # Alike lengths together: less padding.
    pieces.sort(key=lambda piece: len(piece[1]))
    counts = np.zeros(len(sequences))
    for start in range(0, len(pieces), BATCH_SIZE):
        batch = pieces[start : start + BATCH_SIZE]
        found = network.embed(*padded([x for _, x in batch])).double().numpy()
        for (i, _), row in zip(batch, found, strict=True):
            embeddings[i] += row
            counts[i] += 1
    return embeddings / np.maximum(counts, 1)[:, None]


def _checked(x: np.ndarray, n_mels: int) -> np.ndarray:
    if x.ndim != 2 or x.shape[1] != n_mels or len(x) == 0:
        raise TableError(
            f"A log-mel has shape {x.shape}; the network takes (n_frames, {n_mels}). Extract with "
            "the bundle's own parameters."
        )
    return x


def windows(x: np.ndarray) -> list[np.ndarray]:
    """x (n_frames, n_mels) whole, or cut into half-overlapping windows that cover it."""
    if len(x) <= WINDOW_FRAMES:
        return [x]
    last = len(x) - WINDOW_FRAMES
    n = int(np.ceil(last / (WINDOW_FRAMES // 2))) + 1
    return [x[s : s + WINDOW_FRAMES] for s in np.linspace(0, last, n).round().astype(int)]
