"""Neural networks: log-mel sequences in, logits out. The only place that defines nn.Modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ser.models.networks.windows import SCALE_DB, embedded
from ser.params import CnnParams

#: Added to a speaker's variance: a batch holds few clips of each.
LEAST_VARIANCE = 1e-4
BATCH_SIZE = 32


class EmotionNetwork(nn.Module):
    """A `Network` with an embedding, and a head that classifies it."""

    head: nn.Module

    def __init__(self, *, n_mels: int, n_embedding: int) -> None:
        super().__init__()
        self.n_mels = n_mels
        self.n_embedding = n_embedding

    def embed(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """(batch, n_embedding), which `head` classifies.

        log_mel : (batch, n_frames, n_mels), dB; lengths : (batch,), frames that count.
        """
        raise NotImplementedError

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    @torch.no_grad()
    def embed_all(self, log_mel: Sequence[np.ndarray]) -> np.ndarray:
        def embed(batch: Sequence[np.ndarray]) -> np.ndarray:
            return np.asarray(self.embed(*padded(batch)).double().numpy())

        return embedded(
            log_mel,
            embed,
            n_mels=self.n_mels,
            n_embedding=self.n_embedding,
            batch_size=BATCH_SIZE,
        )

    @torch.no_grad()
    def posteriors(self, embeddings: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32))
        return np.asarray(self.head(x).double().softmax(dim=1).numpy())

    def weights(self) -> dict[str, np.ndarray]:
        return {name: v.contiguous().numpy() for name, v in self.state_dict().items()}

    def forward(self, log_mel: Tensor, lengths: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Logits (batch, n_classes).

        speaker : (batch,) indices; each speaker's embeddings are standardised by their own mean
        and deviation, as Enrolment does. None: all speakers are unknown.
        """
        embedding = self.embed(log_mel, lengths)
        if speaker is not None:
            embedding = standardised(embedding, speaker)
        logits: Tensor = self.head(embedding)
        return logits

    def slow_parameters(self) -> list[nn.Parameter]:
        """Pretrained parameters, which get a lower learning rate."""
        return []


class EmotionCnn(EmotionNetwork):
    """2-D convolutions over time and mel, one over time, attentive statistics pooling.

    Weights are shared along mel because a higher voice moves the same pattern up. The first layer
    takes every fourth frame: the window is longer than that, and the rest costs a quarter.
    Frames beyond an utterance's length are zero after every layer, so that a posterior does not
    depend on what else is in the batch.
    """

    def __init__(self, *, n_mels: int, n_classes: int, params: CnnParams) -> None:
        super().__init__(n_mels=n_mels, n_embedding=2 * params.width)
        base, width, dropout = params.channels, params.width, params.dropout
        # Light dropout of maps, whose neighbours are similar; none in the first layer.
        drop = dropout / 3
        self.layers = nn.ModuleList(
            [
                ConvBlock(1, base, kernel=(7, 5), stride=(4, 2), dropout=0.0),
                ConvBlock(base, 2 * base, kernel=(3, 3), stride=(1, 2), dropout=drop),
                ConvBlock(2 * base, 3 * base, kernel=(3, 3), stride=(1, 2), dropout=drop),
                ConvBlock(3 * base, 4 * base, kernel=(3, 3), stride=(1, 2), dropout=drop),
            ]
        )
        bands = n_mels
        for _ in self.layers:
            bands = (bands + 1) // 2
        self.project = nn.Sequential(
            nn.Conv1d(4 * base * bands, width, 1, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.temporal = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv1d(width, width, 5, padding=2, bias=False),
            nn.BatchNorm1d(width),
        )
        self.pool = AttentiveStatistics(width)
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * width), nn.Dropout(dropout), nn.Linear(2 * width, n_classes)
        )
        # Twice as fast on a CPU as the other order.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def embed(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        x = normalised(log_mel, lengths)[:, None].contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        batch, channels, n_frames, bands = x.shape
        x = x.transpose(2, 3).reshape(batch, channels * bands, n_frames)
        mask = mask_of(lengths, n_frames)[:, None]
        x = self.project(x) * mask
        x = torch.relu(x + self.temporal(x)) * mask
        embedding: Tensor = self.pool(x, lengths)
        return embedding


class ConvBlock(nn.Module):
    """Convolution over (time, mel), batch norm, activation, dropout of whole maps."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.stride = stride[0]
        self.conv = nn.Conv2d(
            n_in, n_out, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2), bias=False
        )
        self.norm = nn.BatchNorm2d(n_out)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        lengths = torch.div(lengths + self.stride - 1, self.stride, rounding_mode="floor")
        x = self.dropout(torch.relu(self.norm(self.conv(x))))
        return x * mask_of(lengths, x.shape[2])[:, None, :, None], lengths


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


def standardised(embedding: Tensor, speaker: Tensor) -> Tensor:
    """embedding (batch, d) less its speaker's mean, over its speaker's deviation."""
    own = nn.functional.one_hot(speaker).to(embedding.dtype)
    share = own / own.sum(dim=0)
    mean = share.T @ embedding
    centred = embedding - own @ mean
    variance = share.T @ centred.square()
    return centred / (own @ variance + LEAST_VARIANCE).sqrt()


def mask_of(lengths: Tensor, n_frames: int) -> Tensor:
    """True where a frame belongs to its utterance: (batch, n_frames)."""
    return torch.arange(n_frames, device=lengths.device) < lengths[:, None]


def normalised(log_mel: Tensor, lengths: Tensor) -> Tensor:
    """log_mel (batch, n_frames, n_mels) less each utterance's mean level, in SCALE_DB.

    The level depends on the microphone. The mean spectrum stays: it depends on the emotion, too.
    Frames beyond `lengths` are 0.
    """
    mask = mask_of(lengths, log_mel.shape[1])[:, :, None]
    level = (log_mel * mask).sum(dim=(1, 2), keepdim=True)
    level = level / (lengths * log_mel.shape[2])[:, None, None]
    return (log_mel - level) * mask / SCALE_DB


def padded(sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Log-mels of different lengths as (batch, n_frames, n_mels), zeros behind, and lengths."""
    lengths = np.array([len(x) for x in sequences])
    log_mel = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]), dtype=np.float32)
    for row, x in zip(log_mel, sequences, strict=True):
        row[: len(x)] = x
    return torch.from_numpy(log_mel), torch.from_numpy(lengths)
