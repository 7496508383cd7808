"""What a timeline is. Times are seconds from the recording's start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ser.core.timeline.change import Change
from ser.core.timeline.segments import Labelled
from ser.core.timeline.turns import Turn, Windows


@dataclass(frozen=True)
class ModelOf:
    """Which model made it. version : the registry's number; None where it is of none."""

    name: str
    bundle_sha256: str
    version: int | None = None


@dataclass(frozen=True)
class ChannelTimeline:
    """One channel, or the mix of all.

    channel : its number from 0 on. name : mono, mix, left, right …. envelope :
    (n_pairs, 2) smallest and largest sample of equal parts of the recording. windows : smoothed.
    """

    channel: int
    name: str
    envelope: np.ndarray
    speech: tuple[Labelled, ...]
    windows: Windows
    turns: tuple[Turn, ...]
    change: Change


@dataclass(frozen=True)
class Timeline:
    """Emotions over one recording. sr : Hz of the recording. window_seconds, hop_seconds : of
    speech that is longer than one window."""

    file: str
    seconds: float
    sr: int
    model: ModelOf
    classes: tuple[str, ...]
    window_seconds: float
    hop_seconds: float
    channels: tuple[ChannelTimeline, ...]


def names_of_channels(n: int) -> Sequence[str]:
    """
    >>> names_of_channels(1), names_of_channels(2), names_of_channels(3)
    (('mono',), ('left', 'right'), ('channel 1', 'channel 2', 'channel 3'))
    """
    if n == 1:
        return ("mono",)
    return ("left", "right") if n == 2 else tuple(f"channel {i}" for i in range(1, n + 1))
