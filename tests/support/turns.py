"""A timeline without a model: two channels, a turn without an emotion, a name with a space."""

from __future__ import annotations

import numpy as np

from ser.core.timeline.change import change_of
from ser.core.timeline.segments import total_seconds
from ser.core.timeline.turns import Turn, Windows
from ser.core.timeline.values import ChannelTimeline, ModelOf, Timeline, names_of_channels
from ser.core.uncertainty.abstention import Abstention

CLASSES = ("neutral", "anger")
STRANGE = Abstention("out_of_domain", "Too different from the training speech.")


def timeline_of_turns(
    *channels: list[tuple[float, float, str | None]],
    file: str = "a call.wav",
    seconds: float = 60.0,
) -> Timeline:
    """Each channel of (start, end, emotion) turns, which are windows as well."""
    names = names_of_channels(len(channels))
    return Timeline(
        file,
        seconds,
        8_000,
        ModelOf("ensemble", "0" * 64, 3),
        CLASSES,
        3.0,
        1.0,
        tuple(
            _channel(i, name, own)
            for i, (name, own) in enumerate(zip(names, channels, strict=True))
        ),
    )


def _channel(
    number: int, name: str, given: list[tuple[float, float, str | None]]
) -> ChannelTimeline:
    posteriors = np.array([[0.2, 0.8] if e == "anger" else [0.8, 0.2] for _, _, e in given])
    turns = tuple(
        Turn(
            start,
            end,
            emotion,
            None if emotion is None else 0.8,
            dict(zip(CLASSES, map(float, own), strict=True)),
            STRANGE if emotion is None else None,
        )
        for (start, end, emotion), own in zip(given, posteriors, strict=True)
    )
    windows = Windows(
        np.arange(len(given)),
        np.array([start for start, _, _ in given], dtype=float),
        np.array([end for _, end, _ in given], dtype=float),
        posteriors.reshape(-1, 2),
        tuple(turn.abstention for turn in turns),
    )
    speech = tuple(turn.segment for turn in turns)
    change = change_of(turns, windows, speech_seconds=float(total_seconds(speech)), classes=CLASSES)
    return ChannelTimeline(number, name, np.zeros((1, 2)), speech, windows, turns, change)
