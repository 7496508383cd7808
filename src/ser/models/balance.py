"""Emotions count alike, however rare: in the loss, and in the score."""

from __future__ import annotations

import torch
from torch import Tensor


def class_weight(target: Tensor, n_classes: int) -> Tensor:
    """Rare emotions weigh more, as they do in UAR; mean 1 over utterances: float32 (n_classes,)."""
    counts = torch.bincount(target, minlength=n_classes).clamp_min(1).double()
    return (len(target) / (n_classes * counts)).float()


def uar(predicted: Tensor, target: Tensor) -> float:
    """Unweighted average recall over the classes that were uttered."""
    recalls = [(predicted[target == c] == c).double().mean() for c in target.unique()]
    return float(torch.stack(recalls).mean())
