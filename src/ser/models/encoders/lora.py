"""Fine-tuning a speech encoder with LoRA, under a head on all its layers.

The head is trained on the frozen encoder first, and then with it: a random head would bend what the
encoder knows (Kumar et al. 2022, "Fine-tuning can distort pretrained features").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ser.core.speakers.enrolment import Enrolment, OwnEmotions
from ser.errors import BundleError
from ser.models.base import Building, Examples, Fitting, Inputs, Kind, Loader, targets_of
from ser.models.encoders.adapters import adapter_state, set_adapter, with_adapter
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.head_training import seeded
from ser.models.encoders.layered import LayeredModel
from ser.models.encoders.loading import checked, load_encoder, load_referenced
from ser.models.encoders.lora_training import train_adapted
from ser.models.encoders.reference import EncoderReference
from ser.models.voices import posteriors_for_dev
from ser.params import LoraParams

ADAPTER_FILE = "adapter.safetensors"
ADAPTER_CARD = "adapter.json"


class LoraModel:
    """An adapted encoder and a `LayeredModel` on it (`EmotionModel`).

    encoder : the base; it is copied, never changed.
    """

    name: ClassVar[str] = "lora"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"waveform"})

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
        self.adapted: SpeechEncoder | None = None
        self.head = LayeredModel(params.head, classes=classes)

    @classmethod
    def build(cls, building: Building) -> Self:
        named, machine = building.encoder, building.machine
        assert named is not None
        assert named.name is not None
        base = load_encoder(named.name, revision=named.revision, download=machine.download)
        return cls(building.params, base, classes=building.classes, threads=machine.threads)

    @property
    def enrolment(self) -> Enrolment | None:
        return self.head.enrolment

    @property
    def epochs(self) -> int:
        return self.params.max_epochs

    @property
    def n_parameters(self) -> int:
        adapter = adapter_state(self._fitted()).values()
        return self.head.n_parameters + sum(p.numel() for p in adapter)

    def fit(self, train: Examples, dev: Examples, fitting: Fitting) -> Self:
        """Learn from `train`, keep the weights of the epoch with the best dev UAR.

        Same seed and data give the same weights on a CPU; on a GPU up to rounding. `workdir` is
        not used: a killed training starts anew. Never worse on dev than the head on the frozen
        encoder, with which it begins. Enrolled, the head is then trained anew on
        the adapted encoder.
        """
        y, dev_y = _waveforms(train.inputs), _waveforms(dev.inputs)
        target, dev_target = (
            torch.from_numpy(targets_of(e.emotion, self.classes)) for e in (train, dev)
        )
        with seeded(fitting.seed, threads=self.threads):
            head = LayeredModel(self.params.head, classes=self.classes, threads=self.threads)
            head.fit(_layers(self.base, train), _layers(self.base, dev), Fitting(fitting.seed))
            adapted = with_adapter(
                self.base,
                rank=self.params.rank,
                alpha=self.params.alpha,
                dropout=self.params.dropout,
            )
            assert head.network is not None
            train_adapted(
                adapted,
                head.network,
                self.params,
                train=(y, target),
                dev=(dev_y, dev_target),
                seed=fitting.seed,
                on_epoch=fitting.on_epoch or (lambda *_: None),
            )
            if fitting.enrolled:
                head = LayeredModel(self.params.head, classes=self.classes, threads=self.threads)
                head.fit(
                    _layers(adapted, train),
                    _layers(adapted, dev),
                    replace(fitting, on_epoch=None),
                )
        self.adapted, self.head = adapted, head
        self.dev_posteriors = posteriors_for_dev(self, dev)
        return self

    def embed(self, inputs: Inputs) -> np.ndarray:
        """The layers' weighted mean, float64 (n, width)."""
        return self.head.embed(Inputs(layers=list(self._fitted().encode(_waveforms(inputs)))))

    def own_emotions(self, embeddings: np.ndarray) -> OwnEmotions:
        return self.head.own_emotions(embeddings)

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
            ADAPTER_FILE: save_tensors(adapter_state(self._fitted())),
            ADAPTER_CARD: json.dumps(card, indent=1).encode(),
        }

    @classmethod
    def from_files(
        cls,
        files: Mapping[str, bytes],
        *,
        load: Loader | None = None,
        encoder: SpeechEncoder | None = None,
    ) -> Self:
        """Inverse of `to_files`, on the base `encoder`, or on the one that the files name.

        Raises BundleError where files are damaged, EncoderError where the base is not here or is
        not, byte for byte, the one that was adapted.
        """
        head = LayeredModel.from_files(files)
        try:
            card: dict[str, Any] = json.loads(files[ADAPTER_CARD])
            # Bundles of older releases carry the threads that they were trained on.
            own = {k: v for k, v in dict(card["params"]).items() if k != "threads"}
            own["head"] = {k: v for k, v in dict(own["head"]).items() if k != "threads"}
            params = LoraParams(**own)
            reference = EncoderReference(**card["encoder"])
            state = load_tensors(files[ADAPTER_FILE])
        except (KeyError, TypeError, ValueError, SafetensorError, ValidationError) as error:
            raise BundleError(
                f"The adapter's files cannot be read ({type(error).__name__}: {error}); expected "
                f"{ADAPTER_CARD} and {ADAPTER_FILE}. Restore the bundle, or train the model again."
            ) from error
        encoder = checked(encoder, reference) if encoder else load_referenced(reference)
        model = cls(params, encoder, classes=head.classes)
        model.head = head
        with torch.random.fork_rng(devices=[]):
            adapted = with_adapter(
                encoder, rank=params.rank, alpha=params.alpha, dropout=params.dropout
            )
        set_adapter(adapted, state)
        model.adapted = adapted
        return model

    def _fitted(self) -> SpeechEncoder:
        if self.adapted is None:
            raise BundleError("The model is not fitted; call fit() or load a bundle first.")
        return self.adapted


def _waveforms(inputs: Inputs) -> list[np.ndarray]:
    assert inputs.waveform is not None
    return [np.asarray(y) for y in inputs.waveform]


def _layers(encoder: SpeechEncoder, examples: Examples) -> Examples:
    layers = list(encoder.encode(_waveforms(examples.inputs)))
    return replace(examples, inputs=Inputs(layers=layers))
