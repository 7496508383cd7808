"""A classifier on an encoder's layers, with a trained weight for each layer.

SUPERB's frozen protocol (Yang et al. 2021): a softmax over layers, then a small head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from ser.core.speakers.enrolment import LEAST_SCALE, Enrolment, rows_of
from ser.errors import TableError
from ser.models.base import (
    CARD_FILE,
    WEIGHTS_FILE,
    Building,
    Examples,
    Fitting,
    Inputs,
    Loader,
    fitted,
    reading,
    targets_of,
)
from ser.models.encoders.network import LayeredNetwork, head_groups, head_of
from ser.models.encoders.training import train_head
from ser.models.torch_models import TorchModel, seeded
from ser.models.voices import enrolment_from, posteriors_for_dev
from ser.params import LayersParams


class LayeredModel(TorchModel):
    """`LayeredNetwork` behind the interface of all models."""

    name = "layers"
    kinds = frozenset({"layers"})
    network: LayeredNetwork | None = None
    # Training has epochs but takes seconds: no progress bar, no process of its own.
    epochs = 0

    def __init__(self, params: LayersParams, *, classes: tuple[str, ...], threads: int = 1) -> None:
        self.params = params
        self.threads = threads
        self.classes = classes

    @classmethod
    def build(cls, building: Building) -> Self:
        return cls(building.params, classes=building.classes, threads=building.machine.threads)

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train on `train`, keep the weights of the epoch with the best dev UAR.

        Same seed and data give the same weights. `workdir` is not used: training takes seconds.
        Enrolled, the layers' weights are trained first, on layers standardised by speaker; then
        they are frozen, and the head is trained on just those embeddings that `Enrolment` makes of
        a speaker with clips.
        """
        x, dev_x = stacked(train.inputs.layers), stacked(dev.inputs.layers)
        target, dev_target = (
            torch.from_numpy(targets_of(e.emotion, self.classes)) for e in (train, dev)
        )
        report = fitting.on_epoch or (lambda *_: None)
        n_classes = len(self.classes)
        with seeded(fitting.seed, threads=self.threads):
            network = LayeredNetwork(shape=x.shape[1:], n_classes=n_classes, params=self.params)
            mean, scale = layer_moments(x)
            if fitting.enrolled:
                # In units of the variation within a speaker: speakers lie further apart than that.
                standard, scale = of_speakers(x, train.speaker)
                dev_standard, _ = of_speakers(dev_x, dev.speaker)
            else:
                standard, dev_standard = (x - mean) / scale, (dev_x - mean) / scale
            done = train_head(
                network,
                network.groups(self.params),
                train=(torch.from_numpy(standard), target),
                dev=(torch.from_numpy(dev_standard), dev_target),
                n_classes=n_classes,
                params=self.params,
                seed=fitting.seed,
                on_epoch=report,
                corpus=train.corpus,
            )
            del standard, dev_standard
            network.mean.copy_(torch.from_numpy(mean))
            network.scale.copy_(torch.from_numpy(scale))
            self.network = network.eval()
            if fitting.enrolled:
                network.head = head_of(x.shape[2], n_classes, self.params)
                own, dev_own = self.embed(train.inputs), self.embed(dev.inputs)
                self.enrolment = Enrolment.of(own, speaker=train.speaker)
                train_head(
                    network.head,
                    head_groups(network.head, self.params),
                    train=(_enrolled(self.enrolment, own, train.speaker), target),
                    dev=(_enrolled(self.enrolment, dev_own, dev.speaker), dev_target),
                    n_classes=n_classes,
                    params=self.params,
                    seed=fitting.seed,
                    on_epoch=lambda epoch, values: report(done + epoch, values),
                    corpus=train.corpus,
                )
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    @torch.no_grad()
    def embed(self, inputs: Inputs) -> np.ndarray:
        """The layers' weighted mean, float64 (n, width)."""
        network = fitted(self.network)
        x = stacked(inputs.layers)
        if x.shape[1:] != network.mean.shape:
            raise TableError(
                f"An embedding has shape {x.shape[1:]}; the model takes "
                f"{tuple(network.mean.shape)}. Embed with the bundle's own encoder."
            )
        return np.asarray(network.embed(network.standard(torch.from_numpy(x))).double().numpy())

    def to_files(self) -> dict[str, bytes]:
        return self.files_with(
            {
                "classes": self.classes,
                "shape": list(fitted(self.network).mean.shape),
                "params": self.params.model_dump(mode="json"),
            }
        )

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        with reading(CARD_FILE, WEIGHTS_FILE):
            card = json.loads(files[CARD_FILE])
            n_layers, width = map(int, card["shape"])
            model = cls(LayersParams(**card["params"]), classes=tuple(card["classes"]))
            network = LayeredNetwork(
                shape=(n_layers, width), n_classes=len(model.classes), params=model.params
            )
            network.load_state_dict(load_tensors(files[WEIGHTS_FILE]))
        model.network, model.enrolment = network.eval(), enrolment_from(files)
        return model


def _enrolled(enrolment: Enrolment, embeddings: np.ndarray, speaker: np.ndarray) -> Tensor:
    """Embeddings of speakers who are each enrolled with all of theirs."""
    return torch.from_numpy(enrolment.by_speaker(embeddings, speaker=speaker)).float()


def stacked(layers: Sequence[np.ndarray] | None) -> np.ndarray:
    """Layers of utterances as float32 (n, n_layers, width); raises TableError."""
    arrays = [np.asarray(x, dtype=np.float32) for x in layers or ()]
    if not arrays:
        raise TableError("There is no embedding; expected at least one.")
    shapes = sorted({x.shape for x in arrays})
    if len(shapes) > 1 or len(shapes[0]) != 2:
        raise TableError(
            f"Embeddings have the shapes {shapes[:3]}; expected one (n_layers, width) for all. "
            "Embed all with one encoder."
        )
    return np.stack(arrays)


def layer_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation over utterances: float32 (n_layers, width); 1 where nothing varies."""
    # Layer by layer: sums in double precision cost memory.
    mean = np.stack([x[:, i].mean(axis=0, dtype=np.float64) for i in range(x.shape[1])])
    scale = np.stack([x[:, i].std(axis=0, dtype=np.float64) for i in range(x.shape[1])])
    scale = np.where(scale > LEAST_SCALE, scale, 1.0)
    return mean.astype(np.float32), scale.astype(np.float32)


def of_speakers(x: np.ndarray, speaker: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (n, n_layers, width), each speaker's with mean 0 and deviation 1.

    Also the deviation within a speaker, (n_layers, width): of the variances' mean over the
    utterances of speakers who have more than one.
    """
    standard, variance, clips = np.empty_like(x), np.zeros(x.shape[1:]), 0
    for rows in rows_of(speaker).values():
        mean, scale = layer_moments(x[rows])
        standard[rows] = (x[rows] - mean) / scale
        if len(rows) > 1:
            variance += len(rows) * np.square(scale, dtype=np.float64)
            clips += len(rows)
    within = np.sqrt(variance / clips) if clips else np.ones(x.shape[1:])
    return standard, within.astype(np.float32)
