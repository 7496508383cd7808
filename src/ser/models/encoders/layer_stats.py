"""Mean and deviation over time of every layer of an encoder, over sound alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ser.models.networks.architectures import mask_of

#: A variance below this is rounding; the root of 0 has no gradient.
LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class Stats:
    """mean, deviation : float64 (n_layers, dim), over `frames` frames."""

    mean: np.ndarray
    deviation: np.ndarray
    frames: int


def layer_stats(states: Sequence[Tensor], frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the first `frames` frames: each (batch, n_layers, dim).

    states : n_layers tensors (batch, n_frames, dim); frames : (batch,).
    """
    mask = mask_of(frames, states[0].shape[1])[:, :, None]
    count = frames[:, None]
    means, deviations = [], []
    for state in states:
        # Frames behind the sound may hold anything, NaN even.
        sound = state.masked_fill(~mask, 0.0)
        mean = sound.sum(dim=1) / count
        squares = ((sound - mean[:, None]) * mask).square().sum(dim=1) / count
        means.append(mean)
        deviations.append(squares.clamp_min(LEAST_VARIANCE).sqrt())
    return torch.stack(means, dim=1), torch.stack(deviations, dim=1)


def merged(parts: Sequence[Stats]) -> np.ndarray:
    """Mean and deviation over the frames of all parts: float32 (n_layers, 2 * dim)."""
    share = np.array([part.frames for part in parts], dtype=np.float64)
    share /= share.sum()
    mean = sum(s * part.mean for s, part in zip(share, parts, strict=True))
    variance = sum(
        s * (part.deviation**2 + (part.mean - mean) ** 2)
        for s, part in zip(share, parts, strict=True)
    )
    return np.concatenate([mean, np.sqrt(variance)], axis=1).astype(np.float32)
