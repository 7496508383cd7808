"""A timeline as JSON: what `ser timeline --json` writes and the server answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ser.core.timeline.change import Change
from ser.core.timeline.turns import Turn
from ser.core.timeline.values import ChannelTimeline, Timeline

#: Another one where a reader of the last would fail.
SCHEMA = "ser.timeline/1"


def document(timeline: Timeline) -> dict[str, Any]:
    """Values of JSON; times in seconds, rounded to milliseconds, posteriors to four digits."""
    return {
        "schema": SCHEMA,
        "file": timeline.file,
        "seconds": round(timeline.seconds, 3),
        "sr": timeline.sr,
        "model": asdict(timeline.model),
        "classes": list(timeline.classes),
        "channels": [_channel(timeline, channel) for channel in timeline.channels],
    }


def _channel(timeline: Timeline, channel: ChannelTimeline) -> dict[str, Any]:
    windows = channel.windows
    return {
        "channel": channel.channel,
        "name": channel.name,
        "envelope": np.round(channel.envelope.astype(float), 4).tolist(),
        "speech": [[round(one.start, 3), round(one.end, 3)] for one in channel.speech],
        "windows": {
            "seconds": timeline.window_seconds,
            "hop_seconds": timeline.hop_seconds,
            "start": np.round(windows.start, 3).tolist(),
            "end": np.round(windows.end, 3).tolist(),
            "posteriors": np.round(windows.posteriors, 4).tolist(),
        },
        "turns": [_turn(turn) for turn in channel.turns],
        "summary": _summary(channel.change),
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "start": round(turn.start, 3),
        "end": round(turn.end, 3),
        "emotion": turn.emotion,
        "confidence": None if turn.confidence is None else round(turn.confidence, 4),
        "posteriors": _rounded(turn.posteriors),
        "abstention": asdict(turn.abstention) if turn.abstention else None,
    }


def _summary(change: Change) -> dict[str, Any]:
    longest = change.longest
    return {
        "speech_seconds": round(change.speech_seconds, 3),
        "answered_seconds": round(change.answered_seconds, 3),
        "seconds_by_emotion": _rounded(change.seconds_by_emotion, digits=3),
        "share_by_emotion": _rounded(change.share_by_emotion),
        "transitions": [
            {"from": before, "to": after, "count": count}
            for before, after, count in change.transitions
        ],
        "changes_per_minute": _figure(change.changes_per_minute),
        "volatility": _figure(change.volatility),
        "start": _rounded(change.start),
        "end": _rounded(change.end),
        "trend_per_hour": _rounded(change.trend_per_hour),
        "longest": longest
        and {
            "emotion": longest.label,
            "start": round(longest.start, 3),
            "end": round(longest.end, 3),
        },
    }


def _rounded(values: Mapping[str, float], *, digits: int = 4) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


def _figure(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
