"""Networks on log-mels behind the interface of all models; they are trained in `training`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.models.base import (
    CARD_FILE,
    WEIGHTS_FILE,
    Building,
    EmotionModel,
    Examples,
    Fitting,
    Inputs,
    Loader,
    fitted,
    reading,
)
from ser.models.networks.windows import Network
from ser.models.networks.without_torch import CnnWithoutTorch
from ser.models.voices import enrolment_from, posteriors_for_dev, voice_files
from ser.params import ByolParams, CnnParams, TrainParams

if TYPE_CHECKING:
    from ser.models.networks.architectures import EmotionNetwork
    from ser.models.networks.batches import Utterances


class NeuralModel(EmotionModel):
    """A network on log-mel sequences, trained with Lightning.

    A CNN that is loaded runs without torch; its posteriors equal those of the one that was trained
    but for rounding.
    """

    kinds = frozenset({"log_mel"})
    #: Set by `fit`.
    network: Network | None = None

    def __init__(
        self,
        params: CnnParams | ByolParams,
        train: TrainParams,
        *,
        classes: tuple[str, ...],
        threads: int = 1,
    ) -> None:
        self.name = "byol_s" if isinstance(params, ByolParams) else "cnn"
        self.params = params
        self.train = train
        self.classes = classes
        self.threads = threads
        self.epochs = train.max_epochs

    @classmethod
    def build(cls, building: Building) -> Self:
        return cls(
            building.params,
            building.train,
            classes=building.classes,
            threads=building.machine.threads,
        )

    @property
    def n_parameters(self) -> int:
        return fitted(self.network).n_parameters

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train on `train`; `dev` is scored and chooses nothing.

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
            weights=self._first_weights(),
        )
        if fitting.enrolled:
            self.enrolment = Enrolment.of(self.embed(train.inputs), speaker=train.speaker)
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        return fitted(self.network).embed_all(inputs.log_mel or [])

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        return fitted(self.network).posteriors(embeddings)

    def to_files(self) -> dict[str, bytes]:
        """{"model.safetensors", "model.json"} and the enrolment's file where there is one."""
        network = fitted(self.network)
        card = {
            "name": self.name,
            "classes": self.classes,
            "n_mels": network.n_mels,
            "params": self.params.model_dump(mode="json"),
        }
        return {
            WEIGHTS_FILE: save_arrays(network.weights()),
            CARD_FILE: json.dumps(card, indent=1).encode(),
            **voice_files(self.enrolment),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        with reading(CARD_FILE, WEIGHTS_FILE):
            card = json.loads(files[CARD_FILE])
            params = (ByolParams if card["name"] == "byol_s" else CnnParams)(**card["params"])
            model = cls(params, TrainParams(), classes=tuple(card["classes"]))
            model.network = model._loaded(files[WEIGHTS_FILE], n_mels=int(card["n_mels"]))
        model.enrolment = enrolment_from(files)
        return model

    def _loaded(self, weights: bytes, *, n_mels: int) -> Network:
        n_classes = len(self.classes)
        if isinstance(self.params, CnnParams):
            return CnnWithoutTorch(
                load_arrays(weights), n_mels=n_mels, n_classes=n_classes, params=self.params
            )
        from safetensors.torch import load

        from ser.models.networks.ntt import AudioNtt

        network = AudioNtt(n_mels=n_mels, n_classes=n_classes, params=self.params)
        network.load_state_dict(load(weights))
        return network.eval()

    def _untrained(self, utterances: Utterances) -> EmotionNetwork:
        n_mels, n_classes = utterances.n_mels, len(self.classes)
        if isinstance(self.params, ByolParams):
            from ser.models.networks.ntt import load_encoder

            encoder = load_encoder(self.params, n_mels=n_mels, n_classes=n_classes)
            encoder.standardise_by(utterances.log_mel)
            return encoder
        from ser.models.networks.architectures import EmotionCnn

        return EmotionCnn(n_mels=n_mels, n_classes=n_classes, params=self.params)

    def _first_weights(self) -> str | None:
        """SHA-256 of those that training starts with; None: random ones."""
        if not isinstance(self.params, ByolParams):
            return None
        from ser.models.networks.ntt import weights_sha256

        return weights_sha256(self.params)
