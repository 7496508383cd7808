"""A classifier on an encoder's layers, with a trained weight for each layer.

SUPERB's frozen protocol (Yang et al. 2021): a softmax over layers, then a small head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ser.core.speakers.enrolment import LEAST_SCALE, Enrolment, OwnEmotions, rows_of
from ser.errors import BundleError, TableError
from ser.models.base import Building, Examples, Fitting, Inputs, Kind, Loader, targets_of
from ser.models.encoders.head_training import Labelled, seeded, train_head
from ser.models.encoders.network import LayeredNetwork, head_groups, head_of
from ser.models.voices import enrolment_files, enrolment_from, posteriors_for_dev
from ser.params import LayersParams

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"


class LayeredModel:
    """`LayeredNetwork` behind the interface of all models."""

    name: ClassVar[str] = "layers"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"layers"})
    # Training has epochs but takes seconds: no progress bar, no process of its own.
    epochs: ClassVar[int] = 0

    def __init__(self, params: LayersParams, *, classes: tuple[str, ...], threads: int = 1) -> None:
        self.params = params
        self.threads = threads
        self.classes = classes
        self.network: LayeredNetwork | None = None
        self.enrolment: Enrolment | None = None

    @classmethod
    def build(cls, building: Building) -> Self:
        return cls(building.params, classes=building.classes, threads=building.machine.threads)

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self._fitted().parameters())

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Learn from `train`, keep the weights of the epoch with the best dev UAR.

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
        options = self.params.model_dump(
            include={"label_smoothing", "batch_size", "max_epochs", "patience"}
        )
        with seeded(fitting.seed, threads=self.threads):
            network = LayeredNetwork(shape=x.shape[1:], n_classes=n_classes, params=self.params)
            mean, scale = layer_moments(x)
            if fitting.enrolled:
                # Mixed in units of what a speaker varies by: voices lie further apart than that.
                standard, scale = of_speakers(x, train.speaker)
                dev_standard, _ = of_speakers(dev_x, dev.speaker)
            else:
                standard, dev_standard = (x - mean) / scale, (dev_x - mean) / scale
            done = train_head(
                network,
                network.groups(self.params),
                train=Labelled(torch.from_numpy(standard), target),
                dev=Labelled(torch.from_numpy(dev_standard), dev_target),
                n_classes=n_classes,
                seed=fitting.seed,
                on_epoch=report,
                **options,
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
                    train=Labelled(self._known(own, train.speaker), target),
                    dev=Labelled(self._known(dev_own, dev.speaker), dev_target),
                    n_classes=n_classes,
                    seed=fitting.seed,
                    on_epoch=lambda epoch, values: report(done + epoch, values),
                    **options,
                )
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    @torch.no_grad()
    def embed(self, inputs: Inputs) -> np.ndarray:
        """The layers' weighted mean, float64 (n, width)."""
        network = self._fitted()
        x = stacked(inputs.layers)
        if x.shape[1:] != network.mean.shape:
            raise TableError(
                f"An embedding has shape {x.shape[1:]}; the model takes "
                f"{tuple(network.mean.shape)}. Embed with the bundle's own encoder."
            )
        return np.asarray(network.embed(network.standard(torch.from_numpy(x))).double().numpy())

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        return None

    @torch.no_grad()
    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32))
        return np.asarray(self._fitted().head(x).double().softmax(dim=1).numpy())

    def to_files(self) -> dict[str, bytes]:
        network = self._fitted()
        card = {
            "classes": self.classes,
            "shape": list(network.mean.shape),
            "params": self.params.model_dump(mode="json"),
        }
        weights = {k: v.contiguous() for k, v in network.state_dict().items()}
        return {
            WEIGHTS_FILE: save_tensors(weights),
            CARD_FILE: json.dumps(card, indent=1).encode(),
            **enrolment_files(self.enrolment),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        try:
            card: dict[str, Any] = json.loads(files[CARD_FILE])
            n_layers, width = map(int, card["shape"])
            # Bundles of older releases carry the threads that they were trained on.
            params = {k: v for k, v in dict(card["params"]).items() if k != "threads"}
            model = cls(LayersParams(**params), classes=tuple(card["classes"]))
            network = LayeredNetwork(
                shape=(n_layers, width), n_classes=len(model.classes), params=model.params
            )
            network.load_state_dict(load_tensors(files[WEIGHTS_FILE]))
        except (
            KeyError, TypeError, ValueError, RuntimeError, SafetensorError, ValidationError
        ) as error:  # fmt: skip
            raise BundleError(
                f"The model's files cannot be read ({type(error).__name__}: {error}); expected "
                f"{CARD_FILE} and {WEIGHTS_FILE}. Restore the bundle, or train the model again."
            ) from error
        model.network, model.enrolment = network.eval(), enrolment_from(files)
        return model

    def _known(self, embeddings: np.ndarray, speaker: np.ndarray) -> Tensor:
        """Embeddings of speakers who are each known by all of theirs."""
        assert self.enrolment is not None
        known = self.enrolment.by_speaker(embeddings, speaker=speaker)
        return torch.from_numpy(known).float()

    def _fitted(self) -> LayeredNetwork:
        if self.network is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        return self.network


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
