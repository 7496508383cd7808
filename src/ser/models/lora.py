"""Fine-tuning a speech encoder with LoRA, under the head that learns from all its layers.

The head learns on the frozen encoder first, and then with it: a random head would bend what the
encoder knows (Kumar et al. 2022, "Fine-tuning can distort pretrained features").
"""

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

from ser.errors import BundleError, EncoderError
from ser.models.adapters import adapter_state, set_adapter, with_adapter
from ser.models.base import Examples, OnEpoch
from ser.models.encoders import load_encoder
from ser.models.head_training import seeded, targets
from ser.models.layered import LayeredModel
from ser.models.lora_training import LoraParams, train_adapted
from ser.models.speech_encoder import SpeechEncoder

ADAPTER_FILE = "adapter.safetensors"
ADAPTER_CARD = "adapter.json"


class LoraModel:
    """An adapted encoder and a `LayeredModel` on it, on waveforms at the encoder's rate.

    encoder : the base; it is copied, never changed. enrolled : as of `LayeredModel`; the head
    then learns anew on the adapted encoder's embeddings.
    """

    input_kind: ClassVar[Literal["waveform"]] = "waveform"

    def __init__(
        self,
        params: LoraParams,
        encoder: SpeechEncoder,
        *,
        classes: tuple[str, ...],
        enrolled: bool = False,
    ) -> None:
        self.params = params
        self.base = encoder
        self.classes = classes
        self.enrolled = enrolled
        self.adapted: SpeechEncoder | None = None
        self.head = LayeredModel(params.head, classes=classes, enrolled=enrolled)

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

        inputs : n waveforms (n_samples,) at `base.sr` Hz. Same seed and data give the same
        weights on a CPU; on a GPU up to rounding. `workdir` is not used: a killed training starts
        anew. Never worse on dev than the head on the frozen encoder, with which it begins.
        """
        y, dev_y = ([np.asarray(x) for x in e.inputs] for e in (train, dev))
        target, dev_target = (targets(e.emotion, self.classes) for e in (train, dev))
        with seeded(seed, threads=self.params.threads):
            head = LayeredModel(self.params.head, classes=self.classes)
            heard, dev_heard = self.base.encode(y), self.base.encode(dev_y)
            head.fit(_of(train, heard), _of(dev, dev_heard), seed=seed)
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
                seed=seed,
                on_epoch=on_epoch or (lambda *_: None),
            )
            if self.enrolled:
                head = LayeredModel(self.params.head, classes=self.classes, enrolled=True)
                heard, dev_heard = adapted.encode(y), adapted.encode(dev_y)
                head.fit(_of(train, heard), _of(dev, dev_heard), seed=seed)
        self.adapted, self.head = adapted, head
        return self

    def predict_proba(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Posteriors, float64 (n, n_classes), of speakers who are not known."""
        return self.classify(self.embed(inputs))

    def embed(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The layers' weighted mean, float32 (n, width), of waveforms at `base.sr` Hz."""
        return self.head.embed(self._fitted().encode(inputs))

    def classify(self, embeddings: np.ndarray) -> np.ndarray:
        """Posteriors, float64 (n, n_classes), of what `embed` gave or enrolment made of it."""
        return self.head.classify(embeddings)

    def to_files(self) -> dict[str, bytes]:
        """The head's files, "adapter.safetensors" and "adapter.json"; the base is only named."""
        card = {
            "name": "lora",
            "encoder": self.base.name,
            "encoder_sha256": self.base.sha256,
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
        encoder: SpeechEncoder | None = None,
        download: bool = False,
        device: str = "cpu",
    ) -> Self:
        """Inverse of `to_files`, on the base `encoder`, or on the one that the files name.

        Raises BundleError where files are damaged, EncoderError where the base is not here or is
        not, byte for byte, the one that was adapted.
        """
        head = LayeredModel.from_files(files)
        try:
            card: dict[str, Any] = json.loads(files[ADAPTER_CARD])
            params = LoraParams(**card["params"])
            name, sha256 = str(card["encoder"]), str(card["encoder_sha256"])
            state = load_tensors(files[ADAPTER_FILE])
        except (KeyError, TypeError, ValueError, SafetensorError, ValidationError) as error:
            raise BundleError(
                f"The adapter's files cannot be read ({type(error).__name__}: {error}); expected "
                f"{ADAPTER_CARD} and {ADAPTER_FILE}. Restore the bundle, or train the model again."
            ) from error
        encoder = encoder or load_encoder(name, download=download, device=device)
        if encoder.sha256 != sha256:
            raise EncoderError(
                f"The encoder {encoder.name!r} has SHA-256 {encoder.sha256[:12]}…, but "
                f"{sha256[:12]}… was adapted ({name}). Give that one, or train the model again."
            )
        model = cls(params, encoder, classes=head.classes, enrolled=head.enrolled)
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


def _of(examples: Examples, embeddings: np.ndarray) -> Examples:
    return Examples(list(embeddings), examples.emotion, examples.speaker)
