"""Speech encoders of the Hugging Face hub: waveforms to the mean and deviation of each layer.

wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021), WavLM (Chen et al. 2022), data2vec
(Baevski et al. 2022) and others of that build, and Whisper's encoder (Radford et al. 2023). All
layers are kept, as in SUPERB (Yang et al. 2021): the middle ones separate emotions best.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser.errors import AudioError, EmptyAudio
from ser.models.encoders.layer_stats import Stats, layer_stats, merged
from ser.models.encoders.reference import EncoderReference

#: Longer recordings are cut into windows of about equal length: memory stays bounded.
WINDOW_SECONDS = 20.0
#: Builds whose frames do not depend on padding behind them, if each frame is normalised by
#: itself. data2vec's stacked positional convolutions carry padding into the last frames.
PADDABLE = ("hubert", "wav2vec2", "wavlm")
#: In a batch on a GPU; a CPU gains nothing from batches, and one by one is exact to the bit.
GPU_BATCH = 16


@dataclass(frozen=True)
class Piece:
    """One input of the encoder.

    values : float32, samples (n_samples,) or log-mel (n_mels, n_steps); frames : how many of the
    encoder's frames hold sound.
    """

    values: np.ndarray
    frames: int


@dataclass(frozen=True)
class SpeechEncoder:
    """An encoder with frozen weights; `load_encoder` makes one.

    reference : its name as it was asked for, the SHA-256 of its files, its rate; n_layers : hidden
    states, that of the input among them; dim : of each.
    """

    reference: EncoderReference
    model: Any
    extractor: Any
    n_layers: int
    dim: int

    @property
    def sr(self) -> int:
        """Hz."""
        return self.reference.sr

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def paddable(self) -> bool:
        """Whether clips of different lengths may share a batch; Whisper pads all to one length."""
        config = self.model.config
        # Group norm takes its mean over time, and a batch norm moves silence away from zero.
        return self._is_whisper or (
            config.model_type in PADDABLE
            and config.feat_extract_norm == "layer"
            and not getattr(config, "conv_pos_batch_norm", False)
        )

    @property
    def min_samples(self) -> int:
        """The shortest waveform that makes a frame."""
        if self._is_whisper:
            return 1
        samples = 1
        for kernel, stride in reversed(self._convolutions):
            samples = (samples - 1) * stride + kernel
        return samples

    @torch.no_grad()
    def encode(
        self,
        waveforms: Sequence[np.ndarray],
        *,
        batch_size: int | None = None,
        window_seconds: float = WINDOW_SECONDS,
    ) -> np.ndarray:
        """Mean and deviation over time of every layer: float32 (n, n_layers, 2 * dim).

        waveforms : n arrays (n_samples,), mono, at `sr` Hz. batch_size : pieces at once; None:
        1 on a CPU, where a clip's numbers then never depend on its neighbours, 16 on a GPU,
        where they do by rounding alone. Raises AudioError, EmptyAudio.
        """
        size = batch_size or (1 if self.device.type == "cpu" else GPU_BATCH)
        rows = [np.zeros((0, self.n_layers, 2 * self.dim), np.float32)]
        # TF32 would make a GPU's numbers differ from a CPU's in the third digit.
        with torch.backends.cudnn.flags(allow_tf32=False, deterministic=True, benchmark=False):
            # A few at a time: Whisper's log-mel of a word is as large as that of half a minute.
            for start in range(0, len(waveforms), 8 * size):
                some = waveforms[start : start + 8 * size]
                rows.append(self._encode(some, size=size, window_seconds=window_seconds))
        return np.concatenate(rows)

    def _encode(
        self, waveforms: Sequence[np.ndarray], *, size: int, window_seconds: float
    ) -> np.ndarray:
        owned = [
            (i, piece)
            for i, y in enumerate(waveforms)
            for piece in self.pieces(y, window_seconds=window_seconds)
        ]
        stats: list[list[Stats]] = [[] for _ in waveforms]
        for batch in self.batches(owned, size=size):
            mean, deviation = self.pool([piece for _, piece in batch])
            for (i, piece), m, d in zip(batch, mean.cpu(), deviation.cpu(), strict=True):
                stats[i].append(Stats(m.double().numpy(), d.double().numpy(), piece.frames))
        return np.stack([merged(parts) for parts in stats])

    def pieces(self, y: np.ndarray, *, window_seconds: float = WINDOW_SECONDS) -> Iterator[Piece]:
        """y (n_samples,) as the encoder takes it, in as few equal windows as it needs."""
        y = self.checked(y)
        windows = math.ceil(y.size / self.window_samples(window_seconds))
        if self._is_whisper:
            step = self.extractor.hop_length * 2
            for window in np.array_split(y, windows):
                yield Piece(self._prepared(window), math.ceil(window.size / step))
            return
        # Level and offset are the whole recording's.
        for window in np.array_split(self._prepared(y), windows):
            yield Piece(window, self._frames(window.size))

    def window_samples(self, window_seconds: float) -> int:
        """How many samples of these seconds the encoder takes at once."""
        longest = max(self.min_samples, round(window_seconds * self.sr))
        return min(longest, self.extractor.n_samples) if self._is_whisper else longest

    def batches(
        self, owned: Sequence[tuple[int, Piece]], *, size: int
    ) -> Iterator[list[tuple[int, Piece]]]:
        """Pieces, each with its owner, in batches that the encoder can take, short ones first.

        An encoder whose frames depend on padding gets equal lengths only.
        """
        ordered = sorted(owned, key=lambda pair: pair[1].values.shape[-1])
        batch: list[tuple[int, Piece]] = []
        for pair in ordered:
            alike = not batch or batch[0][1].values.shape == pair[1].values.shape
            if len(batch) == size or not (alike or self.paddable):
                yield batch
                batch = []
            batch.append(pair)
        if batch:
            yield batch

    def pool(self, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor]:
        """Mean and deviation over the frames that hold sound: each (batch, n_layers, dim).

        Gradients flow, unless the caller forbids them; `pieces` is one of `batches`.
        """
        longest = max(piece.values.shape[-1] for piece in pieces)
        values = np.zeros((len(pieces), *pieces[0].values.shape[:-1], longest), np.float32)
        for row, piece in zip(values, pieces, strict=True):
            row[..., : piece.values.shape[-1]] = piece.values
        x = torch.from_numpy(values).to(self.device)
        options: dict[str, Any] = {"output_hidden_states": True}
        if not self._is_whisper:
            lengths = torch.tensor([piece.values.shape[-1] for piece in pieces])
            if int(lengths.min()) < longest:
                mask = torch.arange(longest) < lengths[:, None]
                options["attention_mask"] = mask.long().to(self.device)
        states = self.model(x, **options).hidden_states
        frames = torch.tensor([piece.frames for piece in pieces], device=self.device)
        if not (self._is_whisper or "attention_mask" in options):
            # Some builds (SEW) have fewer frames inside than their convolutions make.
            frames = torch.full_like(frames, states[0].shape[1])
        return layer_stats(states, frames)

    def checked(self, y: np.ndarray) -> np.ndarray:
        """y as float32 (n_samples,); raises AudioError or EmptyAudio where it cannot be encoded."""
        y = np.asarray(y, dtype=np.float32)
        if y.ndim != 1:
            raise AudioError(f"has shape {y.shape}", "(n_samples,)", "Use mono().")
        if y.size == 0:
            raise EmptyAudio("has no samples", "at least one frame", "Leave it out.")
        if y.size < self.min_samples:
            raise AudioError(
                f"lasts {y.size / self.sr:.3f} s",
                f"at least {self.min_samples / self.sr:.3f} s, the shortest that the encoder takes",
                "Send more audio.",
            )
        if not np.isfinite(y).all():
            raise AudioError("holds NaN or infinite samples", "finite ones", "Decode it again.")
        return y

    @property
    def _is_whisper(self) -> bool:
        return bool(self.model.config.model_type == "whisper")

    @property
    def _convolutions(self) -> list[tuple[int, int]]:
        config = self.model.config
        return list(zip(config.conv_kernel, config.conv_stride, strict=True))

    def _frames(self, samples: int) -> int:
        for kernel, stride in self._convolutions:
            samples = (samples - kernel) // stride + 1
        return samples

    def _prepared(self, y: np.ndarray) -> np.ndarray:
        """What the encoder's own extractor makes of y: scaled samples, or Whisper's log-mel."""
        made = self.extractor(y, sampling_rate=self.sr, return_tensors="np")
        return np.asarray(made[self.extractor.model_input_names[0]][0], dtype=np.float32)
