"""Training of networks with Lightning: early stopping, checkpoints, resume."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ser.models.base import OnEpoch
from ser.models.batches import EvaluationBatches, TrainingBatches, Utterances
from ser.models.module import EmotionModule, seed_of
from ser.models.networks import EmotionCnn
from ser.params import CnnParams, TrainParams

CHECKPOINT = "last.ckpt"


class EpochEnd(pl.Callback):
    """After each epoch: report, stop when dev has not improved for long, save a checkpoint."""

    def __init__(
        self, *, patience: int, report: OnEpoch, checkpoint: Path | None, fingerprint: str
    ) -> None:
        self.patience = patience
        self.report = report
        self.checkpoint = checkpoint
        self.fingerprint = fingerprint

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, EmotionModule)
        self.report(trainer.current_epoch, module.history[-1])
        trainer.should_stop = exhausted(module.history, patience=self.patience)
        if self.checkpoint is not None:
            partial = self.checkpoint.with_suffix(".partial")
            trainer.save_checkpoint(partial)
            partial.replace(self.checkpoint)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["fingerprint"] = self.fingerprint


def fit_network(
    params: CnnParams,
    train_params: TrainParams,
    *,
    classes: tuple[str, ...],
    train: Utterances,
    dev: Utterances,
    seed: int,
    on_epoch: OnEpoch | None = None,
    workdir: Path | None = None,
) -> EmotionCnn:
    """Train a network; returns the average of weights of the epoch with the best dev UAR.

    All chance comes from (seed, epoch), and torch's global state is left as found. A checkpoint
    in `workdir` that this very training wrote is resumed, any other is ignored with a warning.
    """
    fingerprint = _fingerprint(params, train_params, classes, train, dev, seed)
    checkpoint = None if workdir is None else workdir / CHECKPOINT
    saved = None if checkpoint is None else read_checkpoint(checkpoint, fingerprint=fingerprint)
    with quiet(threads=train_params.threads), progress(train_params, on_epoch) as report:
        torch.manual_seed(seed_of(seed, -1))
        network = EmotionCnn(n_mels=train.n_mels, n_classes=len(classes), params=params)
        module = EmotionModule(
            network,
            train_params,
            class_weight=_class_weight(train.target, len(classes)),
            seed=seed,
        )
        for epoch, row in enumerate(saved["history"] if saved else []):
            report(epoch, row)
        if saved and (
            len(saved["history"]) >= train_params.max_epochs
            or exhausted(saved["history"], patience=train_params.patience)
        ):
            # Killed between the last checkpoint and the return: nothing is left to train.
            module.load_state_dict(saved["state_dict"])
            return module.best.eval()
        trainer = pl.Trainer(
            accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=1,
            max_epochs=train_params.max_epochs,
            reload_dataloaders_every_n_epochs=1,
            callbacks=[
                EpochEnd(
                    patience=train_params.patience,
                    report=report,
                    checkpoint=checkpoint,
                    fingerprint=fingerprint,
                )
            ],
            default_root_dir=workdir,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        data = _Data(train, dev, n_classes=len(classes), params=train_params, seed=seed)
        trainer.fit(
            module, datamodule=data, ckpt_path=checkpoint if saved else None, weights_only=True
        )
    return module.best.cpu().eval()


class _Data(pl.LightningDataModule):
    def __init__(
        self,
        train: Utterances,
        dev: Utterances,
        *,
        n_classes: int,
        params: TrainParams,
        seed: int,
    ) -> None:
        super().__init__()
        self.train, self.dev = train, dev
        self.n_classes, self.params, self.seed = n_classes, params, seed

    def train_dataloader(self) -> TrainingBatches:
        assert self.trainer is not None
        return TrainingBatches(
            self.train,
            n_classes=self.n_classes,
            params=self.params,
            seed=self.seed,
            epoch=self.trainer.current_epoch,
        )

    def val_dataloader(self) -> EvaluationBatches:
        return EvaluationBatches(self.dev, n_classes=self.n_classes)


def exhausted(history: list[dict[str, float]], *, patience: int) -> bool:
    """True when the best dev UAR is `patience` epochs old."""
    scores = [row["dev_uar"] for row in history]
    return len(scores) - 1 - int(np.argmax(scores)) >= patience if scores else False


def read_checkpoint(path: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint, or None when there is none, or it is broken or of another training."""
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = saved["fingerprint"]
        if not saved["history"]:
            raise ValueError("no finished epoch")
    except Exception as error:
        # A cut or foreign file makes torch raise nearly anything.
        warnings.warn(
            f"{path} cannot be read ({type(error).__name__}); training starts anew.", stacklevel=2
        )
        return None
    if found != fingerprint:
        warnings.warn(
            f"{path} is of another training (data, parameters or seed differ); "
            "training starts anew.",
            stacklevel=2,
        )
        return None
    return saved


@contextmanager
def quiet(*, threads: int) -> Iterator[None]:
    """Lightning without its announcements, `threads` CPU threads, torch's state put back after."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    devices = list(range(torch.cuda.device_count()))
    before = torch.get_num_threads()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=devices):
        warnings.filterwarnings("ignore", module="lightning")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def progress(params: TrainParams, on_epoch: OnEpoch | None) -> Iterator[OnEpoch]:
    """A report for each epoch: to `on_epoch`, and to a bar when a person is watching."""
    with tqdm(
        total=params.max_epochs, desc="Training", unit="epoch", disable=not sys.stderr.isatty()
    ) as bar:

        def report(epoch: int, values: Mapping[str, float]) -> None:
            bar.set_postfix(loss=f"{values['train_loss']:.3f}", dev_uar=f"{values['dev_uar']:.3f}")
            bar.update()
            if on_epoch is not None:
                on_epoch(epoch, values)

        yield report


def _class_weight(target: np.ndarray, n_classes: int) -> Tensor:
    """Rare emotions weigh more, as they do in UAR; mean 1 over utterances."""
    counts = np.maximum(np.bincount(target, minlength=n_classes), 1)
    return torch.tensor(len(target) / (n_classes * counts), dtype=torch.float32)


def _fingerprint(
    params: CnnParams,
    train_params: TrainParams,
    classes: tuple[str, ...],
    train: Utterances,
    dev: Utterances,
    seed: int,
) -> str:
    settings = {
        "params": params.model_dump(mode="json"),
        "train": train_params.model_dump(mode="json", exclude={"threads"}),
        "classes": classes,
        "seed": seed,
        "data": [train.digest(), dev.digest()],
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
