"""Networks behind the interface of all models. Training itself lives in `training`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ser.errors import BundleError, TableError
from ser.models.base import Examples, Inputs, OnEpoch
from ser.models.networks import EmotionCnn, padded
from ser.params import CnnParams, TrainParams

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"
#: Longer inputs are scored in windows of this many frames, half overlapping, and averaged: memory
#: stays bounded, and no window is far longer than what training heard.
WINDOW_FRAMES = 600
BATCH_SIZE = 32


class NeuralModel:
    """`EmotionCnn` on log-mel sequences, trained with Lightning (`EmotionModel`)."""

    input_kind: ClassVar[Literal["functionals", "log_mel"]] = "log_mel"

    def __init__(
        self, params: CnnParams, train: TrainParams | None = None, *, classes: tuple[str, ...]
    ) -> None:
        self.params = params
        self.train = train or TrainParams()
        self.classes = classes
        self.network: EmotionCnn | None = None

    def fit(
        self,
        train: Examples,
        dev: Examples,
        *,
        seed: int,
        on_epoch: OnEpoch | None = None,
        workdir: Path | None = None,
    ) -> Self:
        """Learn from `train`, keep the weights of the epoch with the best dev UAR.

        Same seed and data give the same weights, bit for bit, on a CPU. With `workdir`, each
        epoch ends in `workdir/last.ckpt`; the same call finds it, reports the epochs it holds to
        `on_epoch` again, and goes on to the weights that an unbroken run ends with.
        """
        # Lightning is slow to import and only training needs it.
        from ser.models.batches import Utterances
        from ser.models.training import fit_network

        self.network = fit_network(
            self.params,
            self.train,
            classes=self.classes,
            train=Utterances.of(train, self.classes),
            dev=Utterances.of(dev, self.classes),
            seed=seed,
            on_epoch=on_epoch,
            workdir=workdir,
        )
        return self

    def predict_proba(self, inputs: Inputs) -> np.ndarray:
        """Posteriors, float64 (n, n_classes), for log-mels of any lengths from one frame on."""
        if self.network is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        sequences = [self._checked(np.asarray(x)) for x in inputs]
        posteriors = np.zeros((len(sequences), len(self.classes)))
        pieces = [(i, piece) for i, x in enumerate(sequences) for piece in windows(x)]
        # Alike lengths together: less padding.
        pieces.sort(key=lambda piece: len(piece[1]))
        counts = np.zeros(len(sequences))
        for start in range(0, len(pieces), BATCH_SIZE):
            batch = pieces[start : start + BATCH_SIZE]
            scores = score(self.network, [x for _, x in batch])
            for (i, _), row in zip(batch, scores, strict=True):
                posteriors[i] += row
                counts[i] += 1
        return posteriors / np.maximum(counts, 1)[:, None]

    def to_files(self) -> dict[str, bytes]:
        """{"model.safetensors", "model.json"}; equal models give equal bytes."""
        if self.network is None:
            raise BundleError("The model is not fitted; there is nothing to save.")
        card = {
            "name": "cnn",
            "classes": self.classes,
            "n_mels": self.network.n_mels,
            "params": self.params.model_dump(mode="json"),
        }
        weights = {k: v.contiguous() for k, v in self.network.state_dict().items()}
        return {
            WEIGHTS_FILE: save_tensors(weights),
            CARD_FILE: json.dumps(card, indent=1).encode(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Inverse of `to_files`; raises BundleError on anything else."""
        try:
            card: dict[str, Any] = json.loads(files[CARD_FILE])
            model = cls(CnnParams(**card["params"]), classes=tuple(card["classes"]))
            network = EmotionCnn(
                n_mels=int(card["n_mels"]), n_classes=len(model.classes), params=model.params
            )
            network.load_state_dict(load_tensors(files[WEIGHTS_FILE]))
        except (
            KeyError, TypeError, ValueError, RuntimeError, SafetensorError, ValidationError
        ) as error:  # fmt: skip
            raise BundleError(
                f"The network's files cannot be read ({type(error).__name__}: {error}); expected "
                f"{CARD_FILE} and {WEIGHTS_FILE}. Restore the bundle, or train the model again."
            ) from error
        model.network = network.eval()
        return model

    def _checked(self, x: np.ndarray) -> np.ndarray:
        assert self.network is not None
        if x.ndim != 2 or x.shape[1] != self.network.n_mels or len(x) == 0:
            raise TableError(
                f"A log-mel has shape {x.shape}; the network takes (n_frames, "
                f"{self.network.n_mels}). Extract with the bundle's own parameters."
            )
        return x


def windows(x: np.ndarray) -> list[np.ndarray]:
    """x (n_frames, n_mels) whole, or cut into half-overlapping windows that cover it."""
    if len(x) <= WINDOW_FRAMES:
        return [x]
    last = len(x) - WINDOW_FRAMES
    n = int(np.ceil(last / (WINDOW_FRAMES // 2))) + 1
    return [x[s : s + WINDOW_FRAMES] for s in np.linspace(0, last, n).round().astype(int)]


@torch.no_grad()
def score(network: EmotionCnn, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Posteriors float64 (n, n_classes) of one batch of log-mels."""
    log_mel, lengths = padded(sequences)
    posteriors: np.ndarray = network(log_mel, lengths).double().softmax(dim=1).numpy()
    return posteriors
