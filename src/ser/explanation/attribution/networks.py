"""Where in a log-mel a network finds its answer: integrated gradients, or occlusion (captum).

Integrated gradients (Sundararajan et al. 2017) go from a log-mel that says nothing to the
utterance's; what they give adds up to the difference of the log-odds. Models on log-mels that are
no network of this package's in torch are asked with patches taken out (Zeiler and Fergus 2014),
which add up to nothing in particular.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ser.explanation.attribution.parts import Part, Question, log_odds
from ser.models.base import EmotionModel, Inputs
from ser.models.networks.model import NeuralModel
from ser.models.networks.windows import windows
from ser.models.networks.without_torch import CnnWithoutTorch

if TYPE_CHECKING:
    from torch import Tensor

    from ser.models.networks.architectures import EmotionNetwork

#: Points of the integral: first, and where the sum is off by more than `TOLERANCE` of the log-odds.
STEPS, MORE_STEPS, TOLERANCE = 48, 384, 0.02
#: Log-mels that are in the network at once.
AT_ONCE = 16
#: Frames and mels of a patch that occlusion takes out.
PATCH = (16, 8)

Method = Literal["integrated gradients", "occlusion"]


@dataclass(frozen=True)
class LogMelShares:
    """values : (n_frames, n_mels) shares in the log-odds; usual : log-odds of the log-mel that says
    nothing; odds : of the utterance; error : how far `usual` and the values miss `odds`."""

    values: np.ndarray
    usual: float
    odds: float
    method: Method

    @property
    def error(self) -> float:
        return abs(self.usual + float(self.values.sum()) - self.odds)


def attribute(
    part: Part, log_mel: np.ndarray, question: Question, *, baseline: np.ndarray
) -> LogMelShares:
    """Shares in the part's log-odds of each frame and mel of log_mel (n_frames, n_mels), dB.

    baseline : the log-mel that says nothing, of the same shape.
    """
    both = log_odds(part, Inputs(log_mel=[baseline, log_mel]), question)
    usual, odds = map(float, both)
    network = network_of(part.model)
    if network is None:
        return LogMelShares(_occluded(part, log_mel, question, baseline), usual, odds, "occlusion")
    found = _integrated(part, network, log_mel, question, baseline, STEPS)
    shares = LogMelShares(found, usual, odds, "integrated gradients")
    if shares.error <= TOLERANCE * max(abs(odds - usual), 1.0):
        return shares
    more = _integrated(part, network, log_mel, question, baseline, MORE_STEPS)
    return LogMelShares(more, usual, odds, "integrated gradients")


def network_of(model: EmotionModel) -> EmotionNetwork | None:
    """The model's network in torch, with its weights; None where it has none with a head."""
    if not isinstance(model, NeuralModel) or model.network is None:
        return None
    import torch

    from ser.models.networks.architectures import EmotionCnn, EmotionNetwork

    network = model.network
    if isinstance(network, CnnWithoutTorch):
        loaded = EmotionCnn(
            n_mels=network.n_mels,
            n_classes=len(model.classes),
            params=model.params,  # type: ignore[arg-type]
        )
        # A bundle's arrays may not be writable, which torch warns of.
        weights = {name: torch.tensor(value) for name, value in network.weights().items()}
        loaded.load_state_dict(weights)
        network = loaded
    assert isinstance(network, EmotionNetwork)
    return network.eval()


def _integrated(
    part: Part,
    network: EmotionNetwork,
    log_mel: np.ndarray,
    question: Question,
    baseline: np.ndarray,
    steps: int,
) -> np.ndarray:
    import torch

    from ser.extras import need
    from ser.models.torch_models import seeded

    attr = need("insight", "captum.attr")

    def asked(x: Tensor) -> Tensor:
        """Weighted log-odds (n,) of log-mels (n, n_frames, n_mels)."""
        pieces = _cut(x)
        lengths = torch.full((pieces.shape[1],), pieces.shape[2])
        embedding = torch.stack([network.embed(own, lengths) for own in pieces]).mean(dim=1)
        if part.model.enrolment:
            offset, scale = _average_voice(part.model, embedding.shape[1])
            embedding = (embedding - offset) / scale
        logits = network.head(embedding)
        odds: Tensor = part.weight * (logits[:, question.answer] - logits[:, question.other])
        return odds

    # More threads gain nothing on a network this small.
    with seeded(0, threads=1):
        found = attr.IntegratedGradients(asked).attribute(
            torch.from_numpy(log_mel.astype(np.float32))[None],
            torch.from_numpy(baseline.astype(np.float32))[None],
            n_steps=steps,
            method="gausslegendre",
            internal_batch_size=AT_ONCE,
        )
    return np.asarray(found[0].double().numpy())


def _cut(x: Tensor) -> Tensor:
    """(n, n_windows, n_frames, n_mels) of log-mels (n, n_frames, n_mels), as `embedded` cuts."""
    import torch

    places = windows(np.arange(x.shape[1])[:, None])
    return torch.stack([x[:, int(at[0, 0]) : int(at[-1, 0]) + 1] for at in places], dim=1)


def _average_voice(model: EmotionModel, width: int) -> tuple[Tensor, Tensor]:
    """Offset and scale (width,) by which embeddings of an unknown speaker are standardised."""
    import torch

    assert model.enrolment is not None
    at = model.enrolment.standardised(np.stack([np.zeros(width), np.ones(width)]), None)
    scale = 1 / (at[1] - at[0])
    return torch.from_numpy(-at[0] * scale).float(), torch.from_numpy(scale).float()


def _occluded(
    part: Part, log_mel: np.ndarray, question: Question, baseline: np.ndarray
) -> np.ndarray:
    import torch

    from ser.extras import need

    attr = need("insight", "captum.attr")

    def asked(x: Tensor) -> Tensor:
        log_mels = list(x.numpy())
        return torch.from_numpy(log_odds(part, Inputs(log_mel=log_mels), question))

    patch = tuple(map(min, PATCH, log_mel.shape))
    found = attr.Occlusion(asked).attribute(
        torch.from_numpy(log_mel.astype(np.float32))[None],
        sliding_window_shapes=patch,
        strides=patch,
        baselines=torch.from_numpy(baseline.astype(np.float32))[None],
        perturbations_per_eval=AT_ONCE,
    )
    # A patch's share is that of all of it: each of its points has an equal part.
    return np.asarray(found[0].double().numpy()) / float(np.prod(patch))
