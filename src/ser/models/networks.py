"""Neural networks: log-mel sequences in, logits out. The only place that defines nn.Modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ser.params import CnnParams

#: Log-mel is divided by this many dB, about its spread in speech.
SCALE_DB = 15.0


class EmotionCnn(nn.Module):
    """Convolutions over time with all mel bands as channels, attentive statistics pooling.

    Frames beyond an utterance's length are zero after every layer, so that a posterior does not
    depend on what else is in the batch.
    """

    def __init__(self, *, n_mels: int, n_classes: int, params: CnnParams) -> None:
        super().__init__()
        self.n_mels = n_mels
        width = params.channels
        self.stem = ConvBlock(n_mels, width, kernel=7, stride=2)
        self.down = ConvBlock(width, width, kernel=params.kernel, stride=2)
        self.blocks = nn.ModuleList(
            ResidualBlock(width, kernel=params.kernel, dropout=params.dropout)
            for _ in range(params.blocks)
        )
        self.pool = AttentiveStatistics(width)
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * width), nn.Dropout(params.dropout), nn.Linear(2 * width, n_classes)
        )

    def forward(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """Logits (batch, n_classes).

        log_mel : (batch, n_frames, n_mels), dB; lengths : (batch,), frames that count.
        """
        x = normalised(log_mel, lengths).transpose(1, 2)
        x, lengths = self.stem(x, lengths)
        x, lengths = self.down(x, lengths)
        for block in self.blocks:
            x = block(x, lengths)
        return self.head(self.pool(x, lengths))


class ConvBlock(nn.Module):
    """Convolution, batch norm, activation; shortens time by `stride`."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        lengths = torch.div(lengths + self.stride - 1, self.stride, rounding_mode="floor")
        x = torch.relu(self.norm(self.conv(x)))
        return x * mask_of(lengths, x.shape[2])[:, None], lengths


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int, *, kernel: int, dropout: float) -> None:
        super().__init__()
        self.first = ConvBlock(width, width, kernel=kernel)
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        y, _ = self.first(x, lengths)
        y = torch.relu(x + self.norm(self.conv(self.dropout(y))))
        return y * mask_of(lengths, x.shape[2])[:, None]


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time, frames weighted by attention (Okabe et al. 2018)."""

    def __init__(self, width: int, *, hidden: int = 64) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv1d(width, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, width, 1)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(batch, 2 * width) of x (batch, width, n_frames)."""
        outside = ~mask_of(lengths, x.shape[2])[:, None]
        weight = self.attention(x).masked_fill(outside, -torch.inf).softmax(dim=2)
        mean = (weight * x).sum(dim=2)
        variance = (weight * (x - mean[:, :, None]).square()).sum(dim=2)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


def mask_of(lengths: Tensor, n_frames: int) -> Tensor:
    """True where a frame belongs to its utterance: (batch, n_frames)."""
    return torch.arange(n_frames, device=lengths.device) < lengths[:, None]


def normalised(log_mel: Tensor, lengths: Tensor) -> Tensor:
    """log_mel (batch, n_frames, n_mels) less each utterance's mean over time, in SCALE_DB.

    Removes level, microphone and much of the voice's own colour; frames beyond `lengths` are 0.
    """
    mask = mask_of(lengths, log_mel.shape[1])[:, :, None]
    mean = (log_mel * mask).sum(dim=1, keepdim=True) / lengths[:, None, None]
    return (log_mel - mean) * mask / SCALE_DB


def padded(sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Log-mels of different lengths as (batch, n_frames, n_mels), zeros behind, and lengths."""
    lengths = np.array([len(x) for x in sequences])
    log_mel = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]), dtype=np.float32)
    for row, x in zip(log_mel, sequences, strict=True):
        row[: len(x)] = x
    return torch.from_numpy(log_mel), torch.from_numpy(lengths)
