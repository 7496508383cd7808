"""What models in torch share: class weights, UAR, seed and threads, a classifier in files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from ser.core.speakers.enrolment import OwnEmotions
from ser.models.balance import corpus_weights
from ser.models.base import CARD_FILE, WEIGHTS_FILE, EmotionModel, fitted
from ser.models.voices import voice_files


class TorchModel(EmotionModel):
    """A model whose `network` has a `head` that classifies embeddings."""

    #: Set by `fit`.
    network: Any = None

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in fitted(self.network).parameters())

    @torch.no_grad()
    def classify(self, embeddings: np.ndarray, own: OwnEmotions = None) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32))
        return np.asarray(fitted(self.network).head(x).double().softmax(dim=1).numpy())

    def files_with(self, card: Mapping[str, Any]) -> dict[str, bytes]:
        """{"model.safetensors", "model.json"} and the enrolment's file where there is one."""
        weights = {k: v.contiguous() for k, v in fitted(self.network).state_dict().items()}
        return {
            WEIGHTS_FILE: save_tensors(weights),
            CARD_FILE: json.dumps(card, indent=1).encode(),
            **voice_files(self.enrolment),
        }


def class_weight(target: Tensor, n_classes: int, corpus: np.ndarray | None = None) -> Tensor:
    """Rare emotions weigh more, as they do in UAR; mean 1 over utterances: float32 (n_classes,).

    corpus : (n,), of targets that are drawn evenly from each; see `Examples`.
    """
    drawn = None if corpus is None else torch.from_numpy(corpus_weights(corpus))
    counts = torch.bincount(target, drawn, minlength=n_classes).double()
    counts = torch.where(counts > 0, counts, 1.0)
    return (len(target) / (n_classes * counts)).float()


def uar(predicted: Tensor, target: Tensor) -> float:
    """Unweighted average recall over the classes that occur in `target`."""
    recalls = [(predicted[target == c] == c).double().mean() for c in target.unique()]
    return float(torch.stack(recalls).mean())


@contextmanager
def seeded(seed: int, *, threads: int) -> Iterator[None]:
    """torch with this seed and number of CPU threads; both are put back after."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
