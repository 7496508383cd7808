"""The network on an encoder's layers, and how it learns."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from ser.params import Section


class LayeredParams(Section):
    """The head on an encoder's layers, and how it learns."""

    #: Units of the hidden layer; 0: the head is linear.
    hidden: int = Field(0, ge=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    learning_rate: float = Field(0.001, gt=0)
    #: Of the layers' weights, of which there are few: they may move faster.
    layer_learning_rate: float = Field(0.01, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    batch_size: int = Field(64, ge=1)
    max_epochs: int = Field(60, ge=1)
    #: Epochs without a better dev UAR before training stops.
    patience: int = Field(12, ge=1)
    threads: int = Field(2, ge=1)


class LayeredNetwork(nn.Module):
    """Standardised layers (batch, n_layers, width) -> logits (batch, n_classes)."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, params: LayeredParams) -> None:
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
        """x (batch, n_layers, width), an encoder's layers, less what they are in general."""
        return (x - self.mean) / self.scale

    def groups(self, params: LayeredParams) -> list[dict[str, object]]:
        """Parameters as AdamW takes them: layers' weights, the head's weights, its biases."""
        return [
            {
                "params": [self.layer_logits],
                "lr": params.layer_learning_rate,
                "weight_decay": 0.0,
            },
            *head_groups(self.head, params),
        ]


def head_of(width: int, n_classes: int, params: LayeredParams) -> nn.Sequential:
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


def head_groups(head: nn.Module, params: LayeredParams) -> list[dict[str, object]]:
    """A head's parameters as AdamW takes them: weights decay, biases do not."""
    return [
        {
            "params": [p for p in head.parameters() if (p.ndim > 1) == decays],
            "lr": params.learning_rate,
            "weight_decay": params.weight_decay if decays else 0.0,
        }
        for decays in (True, False)
    ]
