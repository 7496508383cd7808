"""Training of small heads in plain torch: early stop on dev, the same by seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.models.balance import class_weight, uar
from ser.models.base import OnEpoch


@dataclass(frozen=True)
class Labelled:
    """x : float32 (n, …); target : int64 (n,), indices of classes."""

    x: Tensor
    target: Tensor


class Best:
    """The epoch with the best dev UAR, of equals the one with the lowest loss, and its weights."""

    def __init__(self, *, patience: int) -> None:
        self.patience = patience
        self.score = (-np.inf, 0.0)
        self.state: dict[str, Tensor] = {}
        self.age = 0

    def offer(
        self, logits: Tensor, target: Tensor, modules: Sequence[nn.Module]
    ) -> dict[str, float]:
        """Keep the modules' trained weights if they are the best; returns dev's scores."""
        loss = float(functional.cross_entropy(logits, target))
        score = (uar(logits.argmax(dim=1), target), -loss)
        self.age += 1
        if score > self.score:
            self.score, self.age = score, 0
            self.state = {k: v.detach().clone() for k, v in trained(modules).items()}
        return {"dev_loss": loss, "dev_uar": score[0]}

    @property
    def exhausted(self) -> bool:
        return self.age >= self.patience

    def restore(self, modules: Sequence[nn.Module]) -> None:
        with torch.no_grad():
            for key, value in trained(modules).items():
                value.copy_(self.state[key])


def train_head(
    network: nn.Module,
    groups: Sequence[dict[str, object]],
    *,
    train: Labelled,
    dev: Labelled,
    n_classes: int,
    label_smoothing: float,
    batch_size: int,
    max_epochs: int,
    patience: int,
    seed: int,
    on_epoch: OnEpoch,
) -> int:
    """Train `network` in place, with AdamW on parameter `groups`, to its best epoch on dev.

    All chance comes from torch's generator as the caller seeded it, and from (seed, epoch).
    Returns the number of epochs.
    """
    optimizer = torch.optim.AdamW(groups)
    weight = class_weight(train.target, n_classes)
    best, epochs = Best(patience=patience), 0
    while epochs < max_epochs and not best.exhausted:
        order = np.random.default_rng([seed, epochs]).permutation(len(train.target))
        network.train()
        losses = []
        for start in range(0, len(order), batch_size):
            rows = torch.from_numpy(order[start : start + batch_size])
            loss = smoothed_loss(
                network(train.x[rows]), train.target[rows], weight, label_smoothing=label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        network.eval()
        with torch.no_grad():
            scores = best.offer(network(dev.x), dev.target, [network])
        on_epoch(epochs, {"train_loss": float(np.mean(losses)), **scores})
        epochs += 1
    best.restore([network])
    return epochs


def smoothed_loss(
    logits: Tensor, target: Tensor, weight: Tensor, *, label_smoothing: float
) -> Tensor:
    """Cross-entropy, each utterance weighed by its class, divided by their number."""
    each = functional.cross_entropy(
        logits, target, reduction="none", label_smoothing=label_smoothing
    )
    return (each * weight[target]).mean()


def trained(modules: Sequence[nn.Module]) -> dict[str, Tensor]:
    """The parameters that training changes, by the module's place and their names."""
    return {
        f"{i}.{name}": parameter
        for i, module in enumerate(modules)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


@contextmanager
def seeded(seed: int, *, threads: int) -> Iterator[None]:
    """torch with this seed and number of CPU threads; both are put back after."""
    devices = list(range(torch.cuda.device_count()))
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            with torch.backends.cudnn.flags(allow_tf32=False, deterministic=True, benchmark=False):
                yield
        finally:
            torch.set_num_threads(before)
