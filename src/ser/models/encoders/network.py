"""The network on an encoder's layers, and its learning rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ser.params import LayersParams


class LayeredNetwork(nn.Module):
    """Standardised layers (batch, n_layers, width) -> logits (batch, n_classes)."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, params: LayersParams) -> None:
        """shape : (n_layers, width)."""
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        n_layers, width = shape
        self.n_classes = n_classes
        self.layer_logits = nn.Parameter(torch.zeros(n_layers))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        self.head = head_of(width, n_classes, params)

    def forward(self, standard: Tensor) -> Tensor:
        logits: Tensor = self.head(self.embed(standard))
        return logits

    def embed(self, standard: Tensor) -> Tensor:
        """The layers' weighted mean: (batch, width)."""
        return torch.matmul(self.layer_logits.softmax(dim=0), standard)

    def standard(self, x: Tensor) -> Tensor:
        """x (batch, n_layers, width), an encoder's layers, standardised."""
        return (x - self.mean) / self.scale

    def groups(self, params: LayersParams) -> list[dict[str, object]]:
        """Parameters as AdamW takes them: layers' weights, the head's weights, its biases."""
        few = {"lr": params.layer_learning_rate, "weight_decay": 0.0}
        return [{"params": [self.layer_logits], **few}, *head_groups(self.head, params)]


def head_of(width: int, n_classes: int, params: LayersParams) -> nn.Sequential:
    """(batch, width) -> logits (batch, n_classes): linear, or with one hidden layer."""
    dropout = nn.Dropout(params.dropout)
    if params.hidden == 0:
        return nn.Sequential(dropout, nn.Linear(width, n_classes))
    return nn.Sequential(
        dropout,
        nn.Linear(width, params.hidden),
        nn.ReLU(),
        nn.Dropout(params.dropout),
        nn.Linear(params.hidden, n_classes),
    )


def head_groups(head: nn.Module, params: LayersParams) -> list[dict[str, object]]:
    """A head's parameters as AdamW takes them: weights decay, biases do not."""
    return [
        {
            "params": [p for p in head.parameters() if (p.ndim > 1) == decays],
            "lr": params.learning_rate,
            "weight_decay": params.weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]
