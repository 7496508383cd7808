"""Networks behind the interface of all models. Training itself lives in `training`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.errors import BundleError
from ser.models.base import Building, Examples, Fitting, Inputs, Kind, Loader
from ser.models.networks.architectures import EmotionCnn, EmotionNetwork
from ser.models.networks.embedding import embed_sequences
from ser.models.networks.ntt import AudioNtt, load_encoder, weights_sha256
from ser.models.voices import enrolment_files, enrolment_from, posteriors_for_dev
from ser.params import ByolParams, CnnParams, TrainParams

if TYPE_CHECKING:
    from ser.models.networks.batches import Utterances

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"


class NeuralModel:
    """A network on log-mel sequences, trained with Lightning (`EmotionModel`)."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({"log_mel"})

    def __init__(
        self,
        params: CnnParams | ByolParams,
        train: TrainParams | None = None,
        *,
        classes: tuple[str, ...],
        threads: int = 1,
    ) -> None:
        self.params = params
        self.threads = threads
        self.train = train or TrainParams()
        self.classes = classes
        self.network: EmotionNetwork | None = None
        self.enrolment: Enrolment | None = None

    @classmethod
    def build(cls, building: Building) -> Self:
        return cls(
            building.params,
            building.train,
            classes=building.classes,
            threads=building.machine.threads,
        )

    @property
    def name(self) -> str:
        return "byol_s" if isinstance(self.params, ByolParams) else "cnn"

    @property
    def epochs(self) -> int:
        return self.train.max_epochs

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self._fitted().parameters())

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Learn from `train`; `dev` only shows how it goes.

        Same seed and data give the same weights, bit for bit, on a CPU. With `workdir`, each
        epoch ends in `workdir/last.ckpt`; the same call finds it, reports the epochs it holds to
        `on_epoch` again, and goes on to the weights that an unbroken run ends with.
        """
        # Lightning is slow to import and only training needs it.
        from ser.models.networks.batches import Utterances
        from ser.models.networks.training import fit_network

        utterances = Utterances.of(train, self.classes)
        self.network = fit_network(
            lambda: self._untrained(utterances),
            self.params,
            self.train,
            classes=self.classes,
            train=utterances,
            dev=Utterances.of(dev, self.classes),
            fitting=fitting,
            threads=self.threads,
            weights=weights_sha256(self.params) if isinstance(self.params, ByolParams) else None,
        )
        if fitting.enrolled:
            self.enrolment = Enrolment.of(self.embed(train.inputs), speaker=train.speaker)
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        """Float64 (n, n_embedding), for log-mels of any lengths from one frame on."""
        return embed_sequences(self._fitted(), inputs)

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        return None

    @torch.no_grad()
    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        logits = self._fitted().head(torch.from_numpy(embeddings).float())
        posteriors: np.ndarray = logits.double().softmax(dim=1).numpy()
        return posteriors

    def to_files(self) -> dict[str, bytes]:
        """{"model.safetensors", "model.json"}, an enrolment; equal models give equal bytes."""
        network = self._fitted()
        card = {
            "name": self.name,
            "classes": self.classes,
            "n_mels": network.n_mels,
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
        """Inverse of `to_files`; raises BundleError on anything else."""
        try:
            card: dict[str, Any] = json.loads(files[CARD_FILE])
            tuned = card["name"] == "byol_s"
            params = (ByolParams if tuned else CnnParams)(**card["params"])
            model = cls(params, classes=tuple(card["classes"]))
            network = model._network(n_mels=int(card["n_mels"]))
            network.load_state_dict(load_tensors(files[WEIGHTS_FILE]))
        except (
            KeyError, TypeError, ValueError, RuntimeError, SafetensorError, ValidationError
        ) as error:  # fmt: skip
            raise BundleError(
                f"The network's files cannot be read ({type(error).__name__}: {error}); expected "
                f"{CARD_FILE} and {WEIGHTS_FILE}. Restore the bundle, or train the model again."
            ) from error
        model.network = network.eval()
        model.enrolment = enrolment_from(files)
        return model

    def _network(self, *, n_mels: int) -> EmotionNetwork:
        n_classes = len(self.classes)
        if isinstance(self.params, ByolParams):
            return AudioNtt(n_mels=n_mels, n_classes=n_classes, params=self.params)
        return EmotionCnn(n_mels=n_mels, n_classes=n_classes, params=self.params)

    def _untrained(self, utterances: Utterances) -> EmotionNetwork:
        if not isinstance(self.params, ByolParams):
            return self._network(n_mels=utterances.n_mels)
        encoder = load_encoder(self.params, n_mels=utterances.n_mels, n_classes=len(self.classes))
        encoder.standardise_by(list(utterances.log_mel))
        return encoder

    def _fitted(self) -> EmotionNetwork:
        if self.network is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        return self.network
