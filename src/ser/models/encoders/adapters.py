"""LoRA (Hu et al. 2022) on the attention of speech encoders: a few weights are trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ser.errors import BundleError, EncoderError
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.loading import missing

#: Names of the layers that project queries and values, in one build of encoder or another.
PROJECTIONS = ("q_proj", "v_proj", "linear_q", "linear_v", "query_proj", "value_proj")
#: In the names of an adapter's parameters, and there only.
MARK = "lora_"


def with_adapter(encoder: SpeechEncoder, *, rank: int, alpha: int, dropout: float) -> SpeechEncoder:
    """A copy of the encoder with adapters, which alone have gradients; its output is the same.

    Chance is torch's. Raises EncoderError where there is nothing to adapt.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import Linear
    except ImportError as error:
        raise missing("peft") from error

    class Visible(Linear):
        """Adds the adapter where its layer's weight is read, too."""

        @property
        def weight(self) -> Tensor:
            total: Tensor = self.get_base_layer().weight + self.get_delta_weight("default")
            return total

    model = copy.deepcopy(encoder.model)
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    targets = sorted(names.intersection(PROJECTIONS))
    if not targets:
        raise EncoderError(
            f"The encoder {encoder.reference.name!r} projects queries and values by none of "
            f"{', '.join(PROJECTIONS)}; LoRA has nothing to adapt. Name another encoder."
        )
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets)
    inject_adapter_in_model(config, model)
    if model.config.model_type == "wavlm":
        # Its attention takes the projections' weights and never calls them: the adapters
        # would have no effect, and no error would show it.
        for module in model.modules():
            if type(module) is Linear:
                module.__class__ = Visible
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(MARK in name)
    return replace(encoder, model=model.to(encoder.device).eval())


def train_adapter(encoder: SpeechEncoder) -> None:
    """Switch on the adapters' dropout alone: the base's masks and drops are pre-training's."""
    encoder.model.eval()
    for name, module in encoder.model.named_modules():
        if f"{MARK}dropout" in name:
            module.train()


def adapter_state(encoder: SpeechEncoder) -> dict[str, Tensor]:
    """The adapters' weights by name, on the CPU."""
    return {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in encoder.model.named_parameters()
        if MARK in name
    }


@torch.no_grad()
def set_adapter(encoder: SpeechEncoder, state: Mapping[str, Tensor]) -> None:
    """Inverse of `adapter_state`; raises BundleError where the weights are of other adapters."""
    own = {name: p for name, p in encoder.model.named_parameters() if MARK in name}
    shapes = {name: p.shape for name, p in own.items()}
    if shapes != {name: value.shape for name, value in state.items()}:
        raise BundleError(
            f"The adapter holds {len(state)} weights that are not the {len(own)} of this encoder "
            "and rank. Restore the bundle, or train the model again."
        )
    for name, parameter in own.items():
        parameter.copy_(state[name])
