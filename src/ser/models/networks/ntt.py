"""AudioNTT2020, the network of BYOL-S, and the user's file of its weights.

Koizumi et al. 2020; BYOL-A, Niizumi et al. 2021.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ser.errors import ParamsError
from ser.files import file_hash
from ser.models.networks.architectures import EmotionNetwork, mask_of
from ser.params import ByolParams
from ser.project import in_project

CHANNELS, BLOCKS, WIDTH = 64, 3, 512
#: Mean, maximum and deviation over time of three layers.
N_EMBEDDING = 9 * WIDTH


class AudioNtt(EmotionNetwork):
    """Three convolutions, each halving time and mel, and two layers frame by frame."""

    def __init__(self, *, n_mels: int, n_classes: int, params: ByolParams) -> None:
        super().__init__(n_mels=n_mels, n_embedding=N_EMBEDDING)
        layers: list[nn.Module] = []
        for block in range(BLOCKS):
            layers += [
                nn.Conv2d(CHANNELS if block else 1, CHANNELS, 3, padding=1),
                nn.BatchNorm2d(CHANNELS),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Sequential(
            nn.Linear(CHANNELS * (n_mels >> BLOCKS), WIDTH),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
        )
        # Statistics of the training log-mels, as in the encoder's own training.
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.head = nn.Sequential(
            nn.BatchNorm1d(N_EMBEDDING),
            nn.Dropout(params.dropout),
            nn.Linear(N_EMBEDDING, n_classes),
        )
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Batch norm keeps its statistics: they are of far more speech than there is here."""
        super().train(mode)
        self.features.eval()
        return self

    def slow_parameters(self) -> list[nn.Parameter]:
        return [*self.features.parameters(), *self.fc.parameters()]

    def standardise_by(self, log_mel: Sequence[np.ndarray]) -> None:
        """Take the level and spread of the training log-mels (n_frames, n_mels)."""
        values = np.concatenate([np.asarray(x, dtype=np.float32).ravel() for x in log_mel])
        self.mean.fill_(float(values.mean(dtype=np.float64)))
        self.deviation.fill_(float(values.std(dtype=np.float64)) or 1.0)

    def embed(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        short = (1 << BLOCKS) - log_mel.shape[1]
        if short > 0:
            log_mel = nn.functional.pad(log_mel, (0, 0, 0, short))
        mask = mask_of(lengths, log_mel.shape[1])[:, :, None]
        x = ((log_mel - self.mean) / self.deviation * mask).transpose(1, 2)[:, None]
        # The three halvings need a few frames: shorter input is padded and counts as so many.
        lengths = lengths.clamp(min=1 << BLOCKS)
        for block in range(BLOCKS):
            x = self.features[4 * block : 4 * block + 4](x)
            lengths = torch.div(lengths, 2, rounding_mode="floor")
            x = x * mask_of(lengths, x.shape[3])[:, None, None]
        batch, channels, bands, n_frames = x.shape
        flat = x.permute(0, 3, 2, 1).reshape(batch, n_frames, bands * channels)
        first = self.fc[:2](flat)
        return torch.cat([over_time(h, lengths) for h in (flat, first, self.fc[2:](first))], dim=1)


def over_time(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean, maximum and deviation, (batch, 3 * width), of x (batch, n_frames, width)."""
    mask = mask_of(lengths, x.shape[1])[:, :, None]
    count = lengths[:, None]
    mean = (x * mask).sum(dim=1) / count
    variance = ((x - mean[:, None]).square() * mask).sum(dim=1) / count
    largest = x.masked_fill(~mask, -torch.inf).amax(dim=1)
    return torch.cat([mean, largest, (variance + 1e-8).sqrt()], dim=1)


def weights_sha256(params: ByolParams) -> str:
    """SHA-256 of the user's weights; raises ParamsError where there is no file."""
    path = _weights_path(params)
    try:
        return file_hash(path)
    except OSError as error:
        raise ParamsError(
            f"model.byol_s.weights is {path}, which cannot be read ({error.strerror}). Name the "
            "file of BYOL-S with 512 dimensions."
        ) from error


def load_encoder(params: ByolParams, *, n_mels: int, n_classes: int) -> AudioNtt:
    """The network with the weights of the user's file; raises ParamsError where they do not fit."""
    found_sha256 = weights_sha256(params)
    given = f"model.byol_s.weights is {_weights_path(params)}"
    if params.weights_sha256 not in (None, found_sha256):
        raise ParamsError(
            f"{given}, whose SHA-256 is {found_sha256}; expected {params.weights_sha256}, as "
            "model.byol_s.weights_sha256 says. Correct one of them."
        )
    network = AudioNtt(n_mels=n_mels, n_classes=n_classes, params=params)
    try:
        with warnings.catch_warnings():
            # torch warns of pickles that it refuses.
            warnings.simplefilter("ignore")
            state = torch.load(_weights_path(params), map_location="cpu", weights_only=True)
        found = network.load_state_dict(state, strict=False)
    except Exception as error:
        # A foreign file makes torch raise nearly anything, and advise to trust it.
        raise ParamsError(
            f"{given}, which holds no tensors of AudioNTT2020 alone ({type(error).__name__}). "
            "Name the file of BYOL-S with 512 dimensions."
        ) from error
    lacking = [name for name in found.missing_keys if name.startswith(("features.", "fc."))]
    if lacking or found.unexpected_keys:
        raise ParamsError(
            f"{given}; it lacks {', '.join(lacking) or 'nothing'} and has "
            f"{', '.join(found.unexpected_keys) or 'nothing'} besides. Name the file of BYOL-S."
        )
    return network


def _weights_path(params: ByolParams) -> Path:
    if params.weights is None:
        raise ParamsError(
            "model.byol_s.weights is null; expected the path of BYOL-S's weights, a state dict of "
            "AudioNTT2020 with 512 dimensions."
        )
    return in_project(params.weights)
