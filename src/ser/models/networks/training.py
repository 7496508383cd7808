"""Training of networks with Lightning: checkpoints, resume, reports."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from ser.models.balance import class_weight
from ser.models.base import Fitting, OnEpoch
from ser.models.networks.architectures import EmotionNetwork
from ser.models.networks.batches import EvaluationBatches, TrainingBatches, Utterances
from ser.models.networks.module import EmotionModule, seed_of
from ser.models.progress import progress
from ser.params import ByolParams, CnnParams, TrainParams

CHECKPOINT = "last.ckpt"


class EpochEnd(pl.Callback):
    """After each epoch: report, save a checkpoint."""

    def __init__(self, *, report: OnEpoch, checkpoint: Path | None, fingerprint: str) -> None:
        self.report = report
        self.checkpoint = checkpoint
        self.fingerprint = fingerprint

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, EmotionModule)
        self.report(trainer.current_epoch, module.finish_epoch())
        if self.checkpoint is not None:
            partial = self.checkpoint.with_suffix(".partial")
            trainer.save_checkpoint(partial)
            partial.replace(self.checkpoint)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["fingerprint"] = self.fingerprint


def fit_network(
    make: Callable[[], EmotionNetwork],
    params: CnnParams | ByolParams,
    train_params: TrainParams,
    *,
    classes: tuple[str, ...],
    train: Utterances,
    dev: Utterances,
    fitting: Fitting,
    threads: int = 1,
    weights: str | None = None,
) -> EmotionNetwork:
    """Train what `make` makes; returns the running average of its weights after the last epoch.

    weights : SHA-256 of those that `make` starts with; None: of chance.

    The schedule ends with the learning rate at zero, so no epoch is chosen; `dev` shows the way.
    All chance comes from (seed, epoch), and torch's global state is left as found. A checkpoint
    in `fitting.workdir` that this very training wrote is resumed, any other is ignored with a
    warning.
    """
    seed, enrolled, workdir = fitting.seed, fitting.enrolled, fitting.workdir
    fingerprint = _fingerprint(params, train_params, classes, train, dev, seed, enrolled, weights)
    checkpoint = None if workdir is None else workdir / CHECKPOINT
    saved = None if checkpoint is None else read_checkpoint(checkpoint, fingerprint=fingerprint)
    with quiet(threads=threads), progress(train_params.max_epochs, fitting.on_epoch) as report:
        torch.manual_seed(seed_of(seed, -1))
        module = EmotionModule(
            make(),
            train_params,
            class_weight=class_weight(torch.from_numpy(train.target), len(classes)),
            seed=seed,
            enrolled=enrolled,
        )
        for epoch, row in enumerate(saved["history"] if saved else []):
            report(epoch, row)
        if saved and len(saved["history"]) >= train_params.max_epochs:
            # Killed between the last checkpoint and the return: nothing is left to train.
            module.load_state_dict(saved["state_dict"])
            return module.average.eval()
        trainer = pl.Trainer(
            accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=1,
            max_epochs=train_params.max_epochs,
            reload_dataloaders_every_n_epochs=1,
            check_val_every_n_epoch=dev_every(train_params.max_epochs),
            callbacks=[EpochEnd(report=report, checkpoint=checkpoint, fingerprint=fingerprint)],
            default_root_dir=workdir,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        data = _Data(
            train, dev, n_classes=len(classes), params=train_params, seed=seed, enrolled=enrolled
        )
        trainer.fit(
            module, datamodule=data, ckpt_path=checkpoint if saved else None, weights_only=True
        )
    return module.average.cpu().eval()


class _Data(pl.LightningDataModule):
    def __init__(
        self,
        train: Utterances,
        dev: Utterances,
        *,
        n_classes: int,
        params: TrainParams,
        seed: int,
        enrolled: bool,
    ) -> None:
        super().__init__()
        self.train, self.dev = train, dev
        self.n_classes, self.params, self.seed = n_classes, params, seed
        self.enrolled = enrolled

    def train_dataloader(self) -> TrainingBatches:
        assert self.trainer is not None
        return TrainingBatches(
            self.train,
            n_classes=self.n_classes,
            params=self.params,
            seed=self.seed,
            epoch=self.trainer.current_epoch,
            by_speaker=self.enrolled,
        )

    def val_dataloader(self) -> EvaluationBatches:
        return EvaluationBatches(self.dev, n_classes=self.n_classes)


def dev_every(epochs: int) -> int:
    """After how many epochs dev is listened to, the last one included: it costs a sixth of one."""
    return next(n for n in (5, 4, 3, 2, 1) if epochs % n == 0)


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


def _fingerprint(
    params: CnnParams | ByolParams,
    train_params: TrainParams,
    classes: tuple[str, ...],
    train: Utterances,
    dev: Utterances,
    seed: int,
    enrolled: bool,
    weights: str | None,
) -> str:
    settings = {
        "params": params.model_dump(mode="json"),
        "train": train_params.model_dump(mode="json"),
        "classes": classes,
        "seed": seed,
        "enrolled": enrolled,
        "data": [train.digest(), dev.digest()],
    }
    if weights is not None:
        settings["weights"] = weights
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
