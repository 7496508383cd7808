"""BYOL-S: a small encoder trained on speech without labels, and a classifier on it.

Its network is AudioNTT2020 (Koizumi et al. 2020; BYOL-A, Niizumi et al. 2021), its weights a file
that the user has. Frozen, what its last layers say over an utterance is classified by linear
discriminants; tuned, it is trained like any network (`NeuralModel`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.errors import BundleError
from ser.models.base import Building, Examples, Fitting, Inputs, Kind, Loader
from ser.models.classical.model import ClassicalModel
from ser.models.networks.embedding import embed_sequences
from ser.models.networks.model import NeuralModel
from ser.models.networks.ntt import AudioNtt, load_encoder
from ser.params import ByolParams, LdaParams

WEIGHTS_FILE = "encoder.safetensors"
CARD_FILE = "encoder.json"


class ByolModel:
    """The frozen encoder, and linear discriminants on its embeddings (`EmotionModel`)."""

    name: ClassVar[str] = "byol_s"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"log_mel"})
    epochs: ClassVar[int] = 0

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
    def enrolment(self) -> Enrolment | None:
        return self.classifier.enrolment

    @property
    def n_parameters(self) -> int:
        """Those of the encoder included."""
        encoder = self._fitted()
        return self.classifier.n_parameters + sum(p.numel() for p in encoder.slow_parameters())

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Learn the discriminants from `train` and then from `dev`, too; there are no epochs."""
        sequences = [np.asarray(x) for x in train.inputs.log_mel or []]
        encoder = load_encoder(
            self.params, n_mels=sequences[0].shape[1], n_classes=len(self.classes)
        )
        encoder.standardise_by(sequences)
        self.encoder = encoder.eval()
        self.classifier.fit(self._embedded(train), self._embedded(dev), fitting)
        self.dev_posteriors = self.classifier.dev_posteriors
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        """Float64 (n, N_EMBEDDING)."""
        return embed_sequences(self._fitted(), inputs)

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        return self.classifier.own_emotions(embeddings)

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        return self.classifier.classify(embeddings, own)

    def to_files(self) -> dict[str, bytes]:
        """{"encoder.safetensors", "encoder.json"} and the classifier's files."""
        encoder = self._fitted()
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
        """Inverse of `to_files`, tuned or frozen; raises BundleError on anything not trusted."""
        if CARD_FILE not in files:
            return NeuralModel.from_files(files)
        try:
            card = json.loads(files[CARD_FILE])
            model = cls(ByolParams(**card["params"]), classes=tuple(card["classes"]))
            encoder = AudioNtt(
                n_mels=int(card["n_mels"]), n_classes=len(model.classes), params=model.params
            )
            found = encoder.load_state_dict(load_tensors(files[WEIGHTS_FILE]), strict=False)
            if found.unexpected_keys or any(not n.startswith("head.") for n in found.missing_keys):
                raise KeyError(*found.unexpected_keys, *found.missing_keys)
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise BundleError(
                f"The encoder's files cannot be read ({type(error).__name__}: {error}); expected "
                f"{CARD_FILE} and {WEIGHTS_FILE}. Restore the bundle, or train the model again."
            ) from error
        model.encoder = encoder.eval()
        model.classifier = ClassicalModel.from_files(files)
        return model

    def _embedded(self, examples: Examples) -> Examples:
        inputs, *augmented = map(self._said, (examples.inputs, *examples.augmented))
        return Examples(inputs, examples.emotion, examples.speaker, tuple(augmented))

    def _said(self, inputs: Inputs) -> Inputs:
        frame = pd.DataFrame(self.embed(inputs)).rename(columns="byol_{:04d}".format)
        return Inputs(functionals=frame)

    def _fitted(self) -> AudioNtt:
        if self.encoder is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        return self.encoder
