"""Training of networks with Lightning: a running average of weights, checkpoints, resume."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser.files import atomic_path
from ser.models.base import Fitting, OnEpoch
from ser.models.networks.architectures import EmotionNetwork, standardised
from ser.models.networks.batches import Batch, EvaluationBatches, TrainingBatches, Utterances
from ser.models.progress import progress
from ser.models.torch_models import class_weight, seeded, uar
from ser.params import ByolParams, CnnParams, TrainParams

CHECKPOINT = "last.ckpt"
#: The learning rate starts at this share of its peak and peaks after this share of all steps.
FIRST_RATE, WARM_UP = 0.04, 0.2


def fit_network(
    make: Callable[[], EmotionNetwork],
    params: CnnParams | ByolParams,
    train_params: TrainParams,
    *,
    classes: tuple[str, ...],
    train: Utterances,
    dev: Utterances,
    fitting: Fitting,
    threads: int,
    weights: str | None,
) -> EmotionNetwork:
    """Train what `make` makes; returns the running average of its weights after the last epoch.

    weights : SHA-256 of those that `make` starts with; None: random ones.

    The schedule ends with the learning rate at zero, so no epoch is chosen. All chance comes from
    (seed, epoch), and torch's global state is left as found. A checkpoint in `fitting.workdir` of
    this very training is resumed, any other is ignored with a warning.
    """
    settings = {
        "params": params.model_dump(mode="json"),
        "train": train_params.model_dump(mode="json"),
        "classes": classes,
        "seed": fitting.seed,
        "enrolled": fitting.enrolled,
        "data": [train.digest(), dev.digest()],
        "weights": weights,
    }
    fingerprint = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    checkpoint = None if fitting.workdir is None else fitting.workdir / CHECKPOINT
    saved = None if checkpoint is None else _read_checkpoint(checkpoint, fingerprint)
    epochs = train_params.max_epochs
    with (
        _quiet(),
        seeded(seed_of(fitting.seed, -1), threads=threads),
        progress(epochs, fitting.on_epoch) as report,
    ):
        module = EmotionModule(
            make(),
            train_params,
            n_classes=len(classes),
            examples=train,
            dev=dev,
            fitting=fitting,
            report=report,
            checkpoint=checkpoint,
            fingerprint=fingerprint,
        )
        for epoch, row in enumerate(saved["history"] if saved else []):
            report(epoch, row)
        if saved and len(saved["history"]) >= epochs:
            # Killed between the last checkpoint and the return: nothing is left to train.
            module.load_state_dict(saved["state_dict"])
            return module.average.eval()
        trainer = pl.Trainer(
            accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=1,
            max_epochs=epochs,
            reload_dataloaders_every_n_epochs=1,
            # A pass over dev costs a sixth of an epoch. The last epoch has one.
            check_val_every_n_epoch=next(n for n in (5, 4, 3, 2, 1) if epochs % n == 0),
            default_root_dir=fitting.workdir,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(module, ckpt_path=checkpoint if saved else None, weights_only=True)
    return module.average.cpu().eval()


class EmotionModule(pl.LightningModule):
    """A network in training, and the running average of its weights, which is what is kept."""

    def __init__(
        self,
        network: EmotionNetwork,
        params: TrainParams,
        *,
        n_classes: int,
        examples: Utterances,
        dev: Utterances,
        fitting: Fitting,
        report: OnEpoch,
        checkpoint: Path | None,
        fingerprint: str,
    ) -> None:
        super().__init__()
        self.class_weight: Tensor
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.params = params
        self.n_classes = n_classes
        self.examples, self.dev = examples, dev
        self.seed, self.enrolled = fitting.seed, fitting.enrolled
        self.report = report
        self.checkpoint, self.fingerprint = checkpoint, fingerprint
        weight = class_weight(torch.from_numpy(examples.target), n_classes, examples.corpus)
        self.register_buffer("class_weight", weight)
        #: One row of scores per finished epoch; travels in the checkpoint.
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        #: Embeddings, targets and speakers of dev.
        self._dev_batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def train_dataloader(self) -> TrainingBatches:
        return TrainingBatches(
            self.examples,
            n_classes=self.n_classes,
            params=self.params,
            seed=self.seed,
            epoch=self.current_epoch,
            by_speaker=self.enrolled,
        )

    def val_dataloader(self) -> EvaluationBatches:
        return EvaluationBatches(self.dev, n_classes=self.n_classes)

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

    @torch.no_grad()
    def on_train_batch_end(self, *_: Any) -> None:
        # A young average forgets faster, so that the random start soon counts for nothing.
        decay = min(self.params.average, (1 + self.global_step) / (10 + self.global_step))
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

    def on_train_epoch_end(self) -> None:
        row = {
            "train_loss": float(torch.stack(self._losses).mean()),
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
            **self._dev_scores(),
        }
        self.history.append(row)
        self.report(self.current_epoch, row)
        if self.checkpoint is not None:
            with atomic_path(self.checkpoint) as partial:
                self.trainer.save_checkpoint(partial)

    @torch.no_grad()
    def _dev_scores(self) -> dict[str, float]:
        """Dev scores of the averaged weights; none in an epoch without a pass over dev."""
        if not self._dev_batches:
            return {}
        embedding, targets, speaker = map(torch.cat, zip(*self._dev_batches, strict=True))
        self._dev_batches.clear()
        logits = self.average.head(standardised(embedding, speaker) if self.enrolled else embedding)
        target = targets.argmax(dim=1)
        return {
            "dev_loss": float(functional.cross_entropy(logits, target)),
            "dev_uar": uar(logits.argmax(dim=1), target),
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"], checkpoint["fingerprint"] = self.history, self.fingerprint

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]


def one_cycle(done: float) -> float:
    """Share of the peak learning rate after this share of all steps (Smith and Topin 2018)."""
    if done < WARM_UP:
        return FIRST_RATE + (1 - FIRST_RATE) * 0.5 * (1 - math.cos(math.pi * done / WARM_UP))
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP))))


def seed_of(seed: int, epoch: int) -> int:
    """A seed of its own for each (seed, epoch)."""
    return int(np.random.SeedSequence([seed, epoch + 1]).generate_state(1)[0])


def _read_checkpoint(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint, or None when there is none, or it is broken or of another training."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if saved["fingerprint"] == fingerprint:
            return saved
        problem = "is of another training (data, parameters or seed differ)"
    except FileNotFoundError:
        return None
    except Exception as error:
        # A cut or foreign file makes torch raise nearly anything.
        problem = f"cannot be read ({type(error).__name__})"
    warnings.warn(f"{path} {problem}; training starts anew.", stacklevel=2)
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without its announcements."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
