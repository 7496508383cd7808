"""How much a recording may have: bytes, seconds, channels, sampling rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ser.errors import EmptyAudio, RefusedAudio, TooLongAudio


@dataclass(frozen=True)
class Limits:
    """Bounds of one recording, checked on its header and again on what is decoded."""

    max_bytes: int
    max_seconds: float
    max_channels: int = 8
    min_sr: int = 8_000
    max_sr: int = 192_000

    def check_bytes(self, size: int, name: str) -> None:
        """Raises EmptyAudio for 0 bytes, RefusedAudio for more than `max_bytes`."""
        if size == 0:
            raise EmptyAudio(f"{name} is empty (0 bytes); expected a recording. Leave it out.")
        if size > self.max_bytes:
            raise RefusedAudio(
                f"{name} has {size / 2**20:.1f} MiB; up to {self.max_bytes / 2**20:.1f} MiB are "
                "read. Cut it, or store it as FLAC."
            )

    def check_header(self, *, sr: int, channels: int, n_samples: int | None, name: str) -> None:
        """Raises RefusedAudio; n_samples (per channel) is None where the header has none."""
        if not self.min_sr <= sr <= self.max_sr:
            raise RefusedAudio(
                f"{name} has {sr} samples a second; {self.min_sr} to {self.max_sr} are read. "
                "Resample it."
            )
        if not 1 <= channels <= self.max_channels:
            raise RefusedAudio(
                f"{name} has {channels} channels; 1 to {self.max_channels} are read. Mix it down."
            )
        if n_samples is not None and n_samples > self.max_seconds * sr:
            raise TooLongAudio(
                f"{name} lasts {_clock(n_samples / sr)} by its header; up to "
                f"{_clock(self.max_seconds)} are read: it is too long for one utterance. "
                "Cut it into utterances."
            )

    def counted(self, blocks: Iterable[np.ndarray], *, sr: int, name: str) -> Iterator[np.ndarray]:
        """The blocks (n_samples, n_channels); TooLongAudio once they pass the limit in all."""
        n_samples = 0
        for block in blocks:
            n_samples += len(block)
            if n_samples > self.max_seconds * sr:
                raise self.goes_on(name)
            yield block
        if n_samples == 0:
            raise EmptyAudio(f"{name} holds no samples; expected speech. Leave it out.")

    def goes_on(self, name: str) -> TooLongAudio:
        return TooLongAudio(
            f"{name} goes on after {_clock(self.max_seconds)}, which is all that is read: it is "
            "too long for one utterance. Cut it into utterances."
        )


def _clock(seconds: float) -> str:
    return f"{seconds:.4g} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"
