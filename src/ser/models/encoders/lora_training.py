"""Training of adapters and head together: accumulated gradients, early stop on dev."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ser.models.balance import class_weight
from ser.models.base import OnEpoch
from ser.models.encoders.adapters import train_adapter
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.head_training import Best, smoothed_loss
from ser.models.encoders.network import LayeredNetwork
from ser.params import LoraParams

#: Steps over which the learning rate rises.
WARM_UP = 20


def train_adapted(
    encoder: SpeechEncoder,
    network: LayeredNetwork,
    params: LoraParams,
    *,
    train: tuple[Sequence[np.ndarray], Tensor],
    dev: tuple[Sequence[np.ndarray], Tensor],
    seed: int,
    on_epoch: OnEpoch,
) -> None:
    """Train adapters and head in place; the head ends on the CPU."""
    (y, target), (dev_y, dev_target) = train, dev
    device = encoder.device
    network.to(device)
    weight = class_weight(target, network.n_classes).to(device)
    adapters = [p for p in encoder.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": adapters, "lr": params.learning_rate, "weight_decay": params.weight_decay},
            *network.groups(params.head),
        ]
    )
    rise = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / WARM_UP))
    best, modules = Best(patience=params.patience), (encoder.model, network)
    best.offer(_logits(encoder, network, dev_y), dev_target, modules)
    longest = encoder.window_samples(params.crop_seconds)
    step = params.batch_size * params.accumulate
    for epoch in range(params.max_epochs):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(y))
        train_adapter(encoder)
        network.train()
        losses = []
        for start in range(0, len(order), step):
            together = order[start : start + step]
            optimizer.zero_grad()
            for rows in _parts(together, params.batch_size):
                crops = [_crop(y[i], longest, rng) for i in rows]
                logits = network(network.standard(_layers(encoder, crops, params)))
                loss = smoothed_loss(
                    logits,
                    target[rows].to(device),
                    weight,
                    label_smoothing=params.label_smoothing,
                )
                (loss * len(rows) / len(together)).backward()
                losses.append(float(loss.detach()))
            torch.nn.utils.clip_grad_norm_([*adapters, *network.parameters()], 1.0)
            optimizer.step()
            rise.step()
        encoder.model.eval()
        network.eval()
        scores = best.offer(_logits(encoder, network, dev_y), dev_target, modules)
        on_epoch(epoch, {"train_loss": float(np.mean(losses)), **scores})
        if best.exhausted:
            break
    best.restore(modules)
    network.cpu()


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


@torch.no_grad()
def _logits(encoder: SpeechEncoder, network: LayeredNetwork, y: Sequence[np.ndarray]) -> Tensor:
    """Logits (n, n_classes) of whole recordings, on the CPU."""
    x = torch.from_numpy(encoder.encode(y)).to(encoder.device)
    logits: Tensor = network(network.standard(x)).cpu()
    return logits


def _crop(y: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    if len(y) <= samples:
        return y
    start = int(rng.integers(0, len(y) - samples + 1))
    return y[start : start + samples]


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
