"""Networks on log-mels behind the interface of all models; they are trained in `training`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from safetensors.torch import load as load_tensors

from ser.core.speakers.enrolment import Enrolment
from ser.models.base import Building, Examples, Fitting, Inputs, Loader, fitted, reading
from ser.models.networks.architectures import EmotionCnn, EmotionNetwork
from ser.models.networks.ntt import AudioNtt, load_encoder, weights_sha256
from ser.models.torch_models import CARD_FILE, WEIGHTS_FILE, TorchModel
from ser.models.voices import enrolment_from, posteriors_for_dev
from ser.params import ByolParams, CnnParams, TrainParams

if TYPE_CHECKING:
    from ser.models.networks.batches import Utterances


class NeuralModel(TorchModel):
    """A network on log-mel sequences, trained with Lightning."""

    kinds = frozenset({"log_mel"})
    network: EmotionNetwork | None = None

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
            weights=weights_sha256(self.params) if isinstance(self.params, ByolParams) else None,
        )
        if fitting.enrolled:
            self.enrolment = Enrolment.of(self.embed(train.inputs), speaker=train.speaker)
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        return fitted(self.network).embed_all(inputs.log_mel or [])

    def to_files(self) -> dict[str, bytes]:
        return self.files_with(
            {
                "name": self.name,
                "classes": self.classes,
                "n_mels": fitted(self.network).n_mels,
                "params": self.params.model_dump(mode="json"),
            }
        )

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        with reading(CARD_FILE, WEIGHTS_FILE):
            card = json.loads(files[CARD_FILE])
            params = (ByolParams if card["name"] == "byol_s" else CnnParams)(**card["params"])
            model = cls(params, TrainParams(), classes=tuple(card["classes"]))
            network = model._network(int(card["n_mels"]))
            network.load_state_dict(load_tensors(files[WEIGHTS_FILE]))
        model.network = network.eval()
        model.enrolment = enrolment_from(files)
        return model

    def _network(self, n_mels: int) -> EmotionNetwork:
        n_classes = len(self.classes)
        if isinstance(self.params, ByolParams):
            return AudioNtt(n_mels=n_mels, n_classes=n_classes, params=self.params)
        return EmotionCnn(n_mels=n_mels, n_classes=n_classes, params=self.params)

    def _untrained(self, utterances: Utterances) -> EmotionNetwork:
        if not isinstance(self.params, ByolParams):
            return self._network(utterances.n_mels)
        encoder = load_encoder(self.params, n_mels=utterances.n_mels, n_classes=len(self.classes))
        encoder.standardise_by(utterances.log_mel)
        return encoder
