"""Training of heads and adapters in plain torch: early stop on dev, the same weights by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.models.balance import epoch_order
from ser.models.base import OnEpoch
from ser.models.encoders.adapters import train_adapter
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.network import LayeredNetwork
from ser.models.torch_models import class_weight, uar
from ser.params import LayersParams, LoraParams

#: Steps over which the learning rate of adapters rises.
WARM_UP = 20


def train_head(
    network: nn.Module,
    groups: Sequence[dict[str, object]],
    *,
    train: tuple[Tensor, Tensor],
    dev: tuple[Tensor, Tensor],
    n_classes: int,
    params: LayersParams,
    seed: int,
    on_epoch: OnEpoch,
    corpus: np.ndarray | None = None,
) -> int:
    """Train `network` in place to its best epoch on dev; returns the number of epochs.

    train, dev : x, float32 (n, …), and target, int64 (n,), indices of classes. corpus : (n,) of
    train, see `Examples`.
    """
    (x, target), (dev_x, dev_target) = train, dev
    return _train(
        network,
        groups,
        lambda rows, _: network(x[rows]),
        lambda: network(dev_x),
        target=target,
        dev_target=dev_target,
        n_classes=n_classes,
        params=params,
        seed=seed,
        on_epoch=on_epoch,
        corpus=corpus,
    )


def train_adapted(
    encoder: SpeechEncoder,
    network: LayeredNetwork,
    params: LoraParams,
    *,
    train: tuple[Sequence[np.ndarray], Tensor],
    dev: tuple[Sequence[np.ndarray], Tensor],
    seed: int,
    on_epoch: OnEpoch,
    corpus: np.ndarray | None = None,
) -> None:
    """Train adapters and head in place, from waveforms and targets; the head ends on the CPU.

    They are never worse on dev than at the start. corpus : (n,) of train, see `Examples`.
    """
    (y, target), (dev_y, dev_target) = train, dev
    longest = encoder.window_samples(params.crop_seconds)
    module = _Adapted(encoder, network.to(encoder.device))
    adapters = {
        "params": [p for p in encoder.model.parameters() if p.requires_grad],
        "lr": params.learning_rate,
        "weight_decay": params.weight_decay,
    }

    def logits_of(rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        crops = [_crop(y[i], longest, rng) for i in rows]
        logits: Tensor = network(network.standard(_layers(encoder, crops, params)))
        return logits

    def dev_logits() -> Tensor:
        x = torch.from_numpy(encoder.encode(dev_y)).to(encoder.device)
        logits: Tensor = network(network.standard(x)).cpu()
        return logits

    with torch.backends.cudnn.flags(allow_tf32=False, deterministic=True, benchmark=False):
        _train(
            module,
            [adapters, *network.groups(params.head)],
            logits_of,
            dev_logits,
            target=target,
            dev_target=dev_target,
            n_classes=network.n_classes,
            params=params,
            seed=seed,
            on_epoch=on_epoch,
            corpus=corpus,
            accumulate=params.accumulate,
            warm_up=WARM_UP,
            max_norm=1.0,
            start_counts=True,
        )
    network.cpu()


class _Adapted(nn.Module):
    """Adapters and head as one module."""

    def __init__(self, encoder: SpeechEncoder, network: LayeredNetwork) -> None:
        super().__init__()
        self.speech = encoder
        self.model, self.network = encoder.model, network

    def train(self, mode: bool = True) -> Self:
        self.model.eval()
        if mode:
            train_adapter(self.speech)
        self.network.train(mode)
        return self


def _train(
    module: nn.Module,
    groups: Sequence[dict[str, object]],
    logits_of: Callable[[np.ndarray, np.random.Generator], Tensor],
    dev_logits: Callable[[], Tensor],
    *,
    target: Tensor,
    dev_target: Tensor,
    n_classes: int,
    params: LayersParams | LoraParams,
    seed: int,
    on_epoch: OnEpoch,
    corpus: np.ndarray | None,
    accumulate: int = 1,
    warm_up: int = 1,
    max_norm: float | None = None,
    start_counts: bool = False,
) -> int:
    """Train `module` in place, with AdamW on parameter `groups`, to its best epoch on dev.

    logits_of : of rows of `target`. max_norm : of the gradients of a step. start_counts : whether
    the module before training may be the best. All chance comes from torch's generator as the
    caller seeded it, and from (seed, epoch). Returns the number of epochs.
    """
    optimizer = torch.optim.AdamW(groups)
    rise = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / warm_up))
    trained = [p for p in module.parameters() if p.requires_grad]
    weight = class_weight(target, n_classes, corpus)
    best, epochs = _Best(trained), 0
    if start_counts:
        with torch.no_grad():
            best.offer(dev_logits(), dev_target)
    while epochs < params.max_epochs and best.age < params.patience:
        rng = np.random.default_rng([seed, epochs])
        order = epoch_order(len(target), corpus, rng)
        module.train()
        losses = []
        for start in range(0, len(order), params.batch_size * accumulate):
            together = order[start : start + params.batch_size * accumulate]
            optimizer.zero_grad()
            for first in range(0, len(together), params.batch_size):
                rows = together[first : first + params.batch_size]
                logits = logits_of(rows, rng)
                loss = smoothed_loss(
                    logits,
                    target[rows].to(logits.device),
                    weight.to(logits.device),
                    label_smoothing=params.label_smoothing,
                )
                losses.append(float(loss.detach()))
                if len(rows) < len(together):
                    loss = loss * len(rows) / len(together)
                loss.backward()
            if max_norm is not None:
                torch.nn.utils.clip_grad_norm_(trained, max_norm)
            optimizer.step()
            rise.step()
        module.eval()
        with torch.no_grad():
            scores = best.offer(dev_logits(), dev_target)
        on_epoch(epochs, {"train_loss": float(np.mean(losses)), **scores})
        epochs += 1
    best.restore()
    return epochs


class _Best:
    """The epoch with the best dev UAR, of equals the one with the lowest loss, and its weights."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.values: list[Tensor] = []
        self.score = (-np.inf, 0.0)
        #: Epochs since the best one.
        self.age = 0

    def offer(self, logits: Tensor, target: Tensor) -> dict[str, float]:
        """Keep the weights if they are the best; returns dev's scores."""
        loss = float(functional.cross_entropy(logits, target))
        score = (uar(logits.argmax(dim=1), target), -loss)
        self.age += 1
        if score > self.score:
            self.score, self.age = score, 0
            self.values = [parameter.detach().clone() for parameter in self.parameters]
        return {"dev_loss": loss, "dev_uar": score[0]}

    @torch.no_grad()
    def restore(self) -> None:
        for parameter, value in zip(self.parameters, self.values, strict=True):
            parameter.copy_(value)


def smoothed_loss(
    logits: Tensor, target: Tensor, weight: Tensor, *, label_smoothing: float
) -> Tensor:
    """Cross-entropy, each utterance weighted by its class, divided by their number."""
    each = functional.cross_entropy(
        logits, target, reduction="none", label_smoothing=label_smoothing
    )
    return (each * weight[target]).mean()


def _layers(encoder: SpeechEncoder, crops: Sequence[np.ndarray], params: LoraParams) -> Tensor:
    """Mean and deviation of every layer, with gradients: (batch, n_layers, 2 * dim)."""
    owned = [
        (i, piece)
        for i, y in enumerate(crops)
        for piece in encoder.pieces(y, window_seconds=params.crop_seconds)
    ]
    owners, pooled = [], []
    for batch in encoder.batches(owned, size=len(owned)):
        owners += [i for i, _ in batch]
        pooled.append(torch.cat(encoder.pool([piece for _, piece in batch]), dim=2))
    return torch.cat(pooled)[np.argsort(owners)]


def _crop(y: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    if len(y) <= samples:
        return y
    start = int(rng.integers(0, len(y) - samples + 1))
    return y[start : start + samples]
