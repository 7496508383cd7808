"""Fine-tuning a speech encoder with LoRA, under a head on all its layers.

The head is trained on the frozen encoder first, and then with it: a random head would distort the
encoder's features (Kumar et al. 2022, "Fine-tuning can distort pretrained features").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Self

import numpy as np
import torch
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
    targets_of,
)
from ser.models.encoders.adapters import adapter_state, set_adapter, with_adapter
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.layered import LayeredModel
from ser.models.encoders.loading import load_encoder, load_referenced
from ser.models.encoders.reference import EncoderReference
from ser.models.encoders.training import train_adapted
from ser.models.torch_models import seeded
from ser.models.voices import posteriors_for_dev
from ser.params import LoraParams

ADAPTER_FILE = "adapter.safetensors"
ADAPTER_CARD = "adapter.json"


class LoraModel(EmotionModel):
    """An adapted encoder and a `LayeredModel` on it.

    encoder : the base; it is copied, never changed.
    """

    name = "lora"
    kinds = frozenset({"waveform"})

    def __init__(
        self,
        params: LoraParams,
        encoder: SpeechEncoder,
        *,
        classes: tuple[str, ...],
        threads: int = 1,
    ) -> None:
        self.params = params
        self.threads = threads
        self.base = encoder
        self.classes = classes
        self.epochs = params.max_epochs
        self.adapted: SpeechEncoder | None = None
        self.head = LayeredModel(params.head, classes=classes, threads=threads)

    @classmethod
    def build(cls, building: Building) -> Self:
        named, machine = building.encoder, building.machine
        assert named is not None
        assert named.name is not None
        base = load_encoder(named.name, revision=named.revision, download=machine.download)
        return cls(building.params, base, classes=building.classes, threads=machine.threads)

    @property
    def n_parameters(self) -> int:
        adapter = adapter_state(fitted(self.adapted)).values()
        return self.head.n_parameters + sum(p.numel() for p in adapter)

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Train on `train`, keep the weights of the epoch with the best dev UAR.

        Same seed and data give the same weights on a CPU; on a GPU up to rounding. `workdir` is
        not used: a killed training starts anew. Never worse on dev than the head on the frozen
        encoder, with which it begins. Enrolled, the head is then trained anew on the adapted
        encoder.
        """
        target, dev_target = (
            torch.from_numpy(targets_of(e.emotion, self.classes)) for e in (train, dev)
        )
        with seeded(fitting.seed, threads=self.threads):
            frozen = Fitting(fitting.seed)
            self.head.fit(_layers(self.base, train), _layers(self.base, dev), frozen)
            adapted = self._adapted_copy()
            train_adapted(
                adapted,
                fitted(self.head.network),
                self.params,
                train=(_waveforms(train.inputs), target),
                dev=(_waveforms(dev.inputs), dev_target),
                seed=fitting.seed,
                on_epoch=fitting.on_epoch or (lambda *_: None),
                corpus=train.corpus,
            )
            if fitting.enrolled:
                enrolled = replace(fitting, on_epoch=None)
                self.head.fit(_layers(adapted, train), _layers(adapted, dev), enrolled)
        self.adapted, self.enrolment = adapted, self.head.enrolment
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        """The layers' weighted mean, float64 (n, width)."""
        layers = fitted(self.adapted).encode(_waveforms(inputs))
        return self.head.embed(Inputs(layers=list(layers)))

    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        return self.head.classify(embeddings, own)

    def to_files(self) -> dict[str, bytes]:
        """The head's files, "adapter.safetensors" and "adapter.json"; the base is only named."""
        card = {
            "encoder": asdict(self.base.reference),
            "params": self.params.model_dump(mode="json"),
        }
        return {
            **self.head.to_files(),
            ADAPTER_FILE: save_tensors(adapter_state(fitted(self.adapted))),
            ADAPTER_CARD: json.dumps(card, indent=1).encode(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, load: Loader | None = None) -> Self:
        """Raises EncoderError, too: where the base is not here, or is another one by its bytes."""
        head = LayeredModel.from_files(files)
        with reading(ADAPTER_CARD, ADAPTER_FILE):
            card = json.loads(files[ADAPTER_CARD])
            params = LoraParams(**card["params"])
            reference = EncoderReference(**card["encoder"])
            state = load_tensors(files[ADAPTER_FILE])
        model = cls(params, load_referenced(reference), classes=head.classes)
        with torch.random.fork_rng(devices=[]):
            model.adapted = model._adapted_copy()
        set_adapter(model.adapted, state)
        model.head, model.enrolment = head, head.enrolment
        return model

    def _adapted_copy(self) -> SpeechEncoder:
        options = self.params.model_dump(include={"rank", "alpha", "dropout"})
        return with_adapter(self.base, **options)


def _waveforms(inputs: Inputs) -> list[np.ndarray]:
    assert inputs.waveform is not None
    return [np.asarray(y) for y in inputs.waveform]


def _layers(encoder: SpeechEncoder, examples: Examples) -> Examples:
    layers = list(encoder.encode(_waveforms(examples.inputs)))
    return replace(examples, inputs=Inputs(layers=layers))
