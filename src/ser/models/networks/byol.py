"""BYOL-S: a small encoder trained on speech without labels, and a classifier on it.

Its network is AudioNTT2020 (Koizumi et al. 2020; BYOL-A, Niizumi et al. 2021), its weights a file
that the user has. Frozen, its embeddings are classified by linear discriminants; tuned, it is
trained like any network (`NeuralModel`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import pandas as pd
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ser.core.speakers.enrolment import OwnEmotions
from ser.models.base import (
    Building,
    EmotionModel,
    Examples,
    Fitting,
    Inputs,
    Loader,
    fitted,
    reading,
)
from ser.models.classical.model import ClassicalModel
from ser.models.networks.model import NeuralModel
from ser.models.networks.ntt import AudioNtt, load_encoder
from ser.params import ByolParams, LdaParams

WEIGHTS_FILE = "encoder.safetensors"
CARD_FILE = "encoder.json"


class ByolModel(EmotionModel):
    """The frozen encoder, and linear discriminants on its embeddings."""

    name = "byol_s"
    kinds = frozenset({"log_mel"})

    def __init__(self, params: ByolParams, *, classes: tuple[str, ...]) -> None:
        self.params = params
        self.classes = classes
        self.classifier = ClassicalModel(
            "lda", classes=classes, options=LdaParams(shrinkage=params.shrinkage)
        )
        self.encoder: AudioNtt | None = None

    @classmethod
    def build(cls, building: Building) -> Self | NeuralModel:
        if building.params.tune:
            return NeuralModel.build(building)
        return cls(building.params, classes=building.classes)

    @property
    def n_parameters(self) -> int:
        """Those of the encoder included."""
        encoder = fitted(self.encoder)
        return self.classifier.n_parameters + sum(p.numel() for p in encoder.slow_parameters())

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train the discriminants on `train`, then on `dev`, too; there are no epochs."""
        sequences = [np.asarray(x) for x in train.inputs.log_mel or []]
        encoder = load_encoder(
            self.params, n_mels=sequences[0].shape[1], n_classes=len(self.classes)
        )
        encoder.standardise_by(sequences)
        self.encoder = encoder.eval()
        self.classifier.fit(self._embedded(train), self._embedded(dev), fitting)
        self.enrolment = self.classifier.enrolment
        self.dev_posteriors = self.classifier.dev_posteriors
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        return fitted(self.encoder).embed_all(inputs.log_mel or [])

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        return self.classifier.own_emotions(embeddings)

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        return self.classifier.classify(embeddings, own)

    def to_files(self) -> dict[str, bytes]:
        """{"encoder.safetensors", "encoder.json"} and the classifier's files."""
        encoder = fitted(self.encoder)
        weights = {k: v for k, v in encoder.state_dict().items() if not k.startswith("head.")}
        content = save_tensors(weights)
        card = {
            "n_mels": encoder.n_mels,
            "classes": self.classes,
            "params": self.params.model_dump(mode="json", exclude={"weights"}),
            "weights_sha256": hashlib.sha256(content).hexdigest(),
        }
        return {
            WEIGHTS_FILE: content,
            CARD_FILE: json.dumps(card, indent=1).encode(),
            **self.classifier.to_files(),
        }

    @classmethod
    def from_files(
        cls, files: Mapping[str, bytes], *, load: Loader | None = None
    ) -> Self | NeuralModel:
        if CARD_FILE not in files:
            return NeuralModel.from_files(files)
        with reading(CARD_FILE, WEIGHTS_FILE):
            card = json.loads(files[CARD_FILE])
            model = cls(ByolParams(**card["params"]), classes=tuple(card["classes"]))
            encoder = AudioNtt(
                n_mels=int(card["n_mels"]), n_classes=len(model.classes), params=model.params
            )
            head = {k: v for k, v in encoder.state_dict().items() if k.startswith("head.")}
            encoder.load_state_dict(head | load_tensors(files[WEIGHTS_FILE]))
        model.encoder = encoder.eval()
        model.classifier = ClassicalModel.from_files(files)
        model.enrolment = model.classifier.enrolment
        return model

    def _embedded(self, examples: Examples) -> Examples:
        inputs, *augmented = map(self._functionals, (examples.inputs, *examples.augmented))
        return replace(examples, inputs=inputs, augmented=tuple(augmented))

    def _functionals(self, inputs: Inputs) -> Inputs:
        """The embeddings as the classifier takes them."""
        frame = pd.DataFrame(self.embed(inputs)).rename(columns="byol_{:04d}".format)
        return Inputs(functionals=frame)
