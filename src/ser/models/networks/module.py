"""One network in training: its loss, its running average of weights, its scores."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser.models.balance import uar
from ser.models.networks.architectures import EmotionNetwork, standardised
from ser.models.networks.batches import Batch
from ser.params import TrainParams

#: The learning rate starts at this share of its peak and peaks after this share of all steps.
FIRST_RATE, WARM_UP = 0.04, 0.2


class EmotionModule(pl.LightningModule):
    """A network, and the running average of its weights, which is what is kept."""

    def __init__(
        self,
        network: EmotionNetwork,
        params: TrainParams,
        *,
        class_weight: Tensor,
        seed: int,
        enrolled: bool,
    ) -> None:
        super().__init__()
        self.class_weight: Tensor
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.params = params
        self.seed = seed
        self.enrolled = enrolled
        self.register_buffer("class_weight", class_weight)
        #: One row of scores per finished epoch; travels in the checkpoint.
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        #: Embeddings, targets and speakers of dev.
        self._dev_batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def configure_optimizers(self) -> Any:
        params, steps = self.params, int(self.trainer.estimated_stepping_batches)
        slow = set(self.network.slow_parameters())
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for parameter in self.network.parameters():
            groups.setdefault((parameter in slow, parameter.ndim > 1), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": group,
                    "lr": params.learning_rate * (params.slow_rate if is_slow else 1.0),
                    "weight_decay": params.weight_decay if is_matrix else 0.0,
                }
                for (is_slow, is_matrix), group in groups.items()
            ]
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: one_cycle(n / steps))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def on_train_epoch_start(self) -> None:
        # Dropout draws from torch's own generator: a resumed epoch must draw the same.
        torch.manual_seed(seed_of(self.seed, self.current_epoch))
        self._losses.clear()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        log_mel, lengths, targets, speaker = batch
        logits = self.network(log_mel, lengths, speaker if self.enrolled else None)
        log_posteriors = logits.log_softmax(dim=1)
        loss = -(self.class_weight * targets * log_posteriors).sum(dim=1).mean()
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        # A young average forgets faster, lest it drag the random start along.
        decay = min(self.params.average, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            averaged = self.average.state_dict()
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    averaged[name].lerp_(value, 1 - decay)
                else:
                    averaged[name].copy_(value)

    def on_validation_epoch_start(self) -> None:
        self._dev_batches.clear()

    def validation_step(self, batch: Batch, _: int) -> None:
        log_mel, lengths, targets, speaker = batch
        self._dev_batches.append((self.average.embed(log_mel, lengths), targets, speaker))

    def finish_epoch(self) -> dict[str, float]:
        """The epoch's row of scores, put into the history."""
        row = {
            "train_loss": float(torch.stack(self._losses).mean()),
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
        }
        self.history.append({**row, **self._dev_scores()})
        return self.history[-1]

    def _dev_scores(self) -> dict[str, float]:
        """Dev scores of the averaged weights; none in an epoch without a pass over dev."""
        if not self._dev_batches:
            return {}
        embedding, targets, speaker = map(torch.cat, zip(*self._dev_batches, strict=True))
        self._dev_batches.clear()
        with torch.no_grad():
            logits = self.average.head(
                standardised(embedding, speaker) if self.enrolled else embedding
            )
        target = targets.argmax(dim=1)
        return {
            "dev_loss": float(functional.cross_entropy(logits, target)),
            "dev_uar": uar(logits.argmax(dim=1), target),
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = [dict(row) for row in checkpoint["history"]]


def one_cycle(done: float) -> float:
    """Share of the peak learning rate after this share of all steps (Smith and Topin 2018)."""
    if done < WARM_UP:
        return FIRST_RATE + (1 - FIRST_RATE) * 0.5 * (1 - math.cos(math.pi * done / WARM_UP))
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))


def seed_of(seed: int, epoch: int) -> int:
    """A seed of its own for each (seed, epoch)."""
    return int(np.random.SeedSequence([seed, epoch + 1]).generate_state(1)[0])
