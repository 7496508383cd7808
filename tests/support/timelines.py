"""Documents of timelines, made up: each stretch of speech is one turn, emotions take turns."""

from __future__ import annotations

from itertools import cycle, pairwise
from typing import Any

CLASSES = ["neutral", "happiness", "sadness", "anger"]


def a_document(
    file: str = "call.wav", *, seconds: float = 30.0, channels: int = 1, first: str = "anger"
) -> dict[str, Any]:
    """A timeline of schema ser.timeline/1: in each channel 3 s of speech, each 2 s apart.

    first : the emotion of the first turn; the others follow in the order of the classes. The third
    turn has no answer.
    """
    names = ("left", "right") if channels == 2 else ("mono",)
    return {
        "schema": "ser.timeline/1",
        "file": file,
        "seconds": seconds,
        "sr": 16_000,
        "model": {"name": "emotion-recognition", "version": 3, "bundle_sha256": "ab" * 32},
        "classes": CLASSES,
        "channels": [_channel(number, name, seconds, first) for number, name in enumerate(names)],
    }


def posteriors_of(emotion: str) -> dict[str, float]:
    return {name: 0.7 if name == emotion else 0.1 for name in CLASSES}


def _channel(number: int, name: str, seconds: float, first: str) -> dict[str, Any]:
    start, places = 1.0 + number, []
    while start + 3 <= seconds:
        places.append((start, start + 3))
        start += 5
    order = cycle([*CLASSES[CLASSES.index(first) :], *CLASSES[: CLASSES.index(first)]])
    turns = [_turn(k, *place, next(order)) for k, place in enumerate(places)]
    windows: dict[str, Any] = {"seconds": 3.0, "hop_seconds": 1.0}
    windows |= {"start": [a for a, _ in places], "end": [b for _, b in places]}
    windows["posteriors"] = [list(turn["posteriors"].values()) for turn in turns]
    quiet, loud = [-0.001, 0.001], [-0.2, 0.25]
    envelope = [
        loud if any(a <= i / 10 < b for a, b in places) else quiet for i in range(int(10 * seconds))
    ]
    return {
        "channel": number,
        "name": name,
        "envelope": envelope,
        "speech": [list(place) for place in places],
        "windows": windows,
        "turns": turns,
        "summary": _summary(turns),
    }


def _turn(k: int, start: float, end: float, emotion: str) -> dict[str, Any]:
    unsure = {"reason": "unsure", "detail": "The most probable emotion has 0.31, the limit is 0.4."}
    return {
        "start": start,
        "end": end,
        "emotion": None if k == 2 else emotion,
        "confidence": None if k == 2 else 0.7,
        "posteriors": posteriors_of(emotion),
        "abstention": unsure if k == 2 else None,
    }


def _summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    answered = [turn for turn in turns if turn["emotion"]]
    if not answered:
        nothing: dict[str, Any] = dict.fromkeys(("changes_per_minute", "volatility", "longest"))
        shares = ("seconds_by_emotion", "share_by_emotion", "start", "end", "trend_per_hour")
        nothing |= {name: {} for name in shares}
        return nothing | {"speech_seconds": 0.0, "answered_seconds": 0.0, "transitions": []}
    seconds = dict.fromkeys(CLASSES, 0.0)
    for turn in answered:
        seconds[turn["emotion"]] += 3.0
    total = sum(seconds.values())
    one = {name: float(name == answered[0]["emotion"]) for name in CLASSES}
    other = {name: float(name == answered[-1]["emotion"]) for name in CLASSES}
    pairs = [(a["emotion"], b["emotion"]) for a, b in pairwise(answered)]
    return {
        "speech_seconds": 3.0 * len(turns),
        "answered_seconds": total,
        "seconds_by_emotion": seconds,
        "share_by_emotion": {name: value / total for name, value in seconds.items()},
        "transitions": [{"from": a, "to": b, "count": 1} for a, b in pairs],
        "changes_per_minute": 60 * len(pairs) / total,
        "volatility": 0.42,
        "start": one,
        "end": other,
        "trend_per_hour": {},
        "longest": {key: answered[0][key] for key in ("emotion", "start", "end")},
    }
