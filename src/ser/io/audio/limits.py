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
    #: What a recording may hold so much of.
    what: str = "utterance"

    def check_bytes(self, size: int) -> None:
        """Raises EmptyAudio for 0 bytes, RefusedAudio for more than `max_bytes`."""
        if size == 0:
            raise EmptyAudio("is empty (0 bytes)", "a recording", "Leave it out.")
        if size > self.max_bytes:
            raise RefusedAudio(
                f"has {size / 2**20:.1f} MiB",
                f"at most {self.max_bytes / 2**20:.1f} MiB",
                "Cut it, or store it as FLAC.",
            )

    def check_header(self, *, sr: int, channels: int, n_samples: int | None) -> None:
        """Raises RefusedAudio; n_samples (per channel) is None where the header has none."""
        if not self.min_sr <= sr <= self.max_sr:
            raise RefusedAudio(
                f"has {sr} samples a second", f"{self.min_sr} to {self.max_sr}", "Resample it."
            )
        if not 1 <= channels <= self.max_channels:
            raise RefusedAudio(
                f"has {channels} channels", f"1 to {self.max_channels}", "Mix it down."
            )
        if n_samples is not None and n_samples > self.max_seconds * sr:
            raise self._too_long(f"lasts {_clock(n_samples / sr)} by its header")

    def counted(self, blocks: Iterable[np.ndarray], *, sr: int) -> Iterator[np.ndarray]:
        """The blocks (n_samples, n_channels); TooLongAudio once they pass the limit in all."""
        n_samples = 0
        for block in blocks:
            n_samples += len(block)
            if n_samples > self.max_seconds * sr:
                raise self.goes_on()
            yield block
        if n_samples == 0:
            raise EmptyAudio("holds no samples", "speech", "Leave it out.")

    def goes_on(self) -> TooLongAudio:
        """The error of a recording that is decoded up to the limit and does not end there."""
        return self._too_long(f"goes on after {_clock(self.max_seconds)}")

    def _too_long(self, found: str) -> TooLongAudio:
        most = f"at most {_clock(self.max_seconds)} in one {self.what}"
        return TooLongAudio(found, most, f"Cut it into {self.what}s.")


#: A stream, or a timeline, needs no end.
ANY_LENGTH = Limits(max_bytes=2**62, max_seconds=float("inf"))


def _clock(seconds: float) -> str:
    return f"{seconds:.4g} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"
