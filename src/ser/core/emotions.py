"""Canonical emotion labels."""

from __future__ import annotations

from collections.abc import Iterable

from ser.errors import UnknownEmotion

#: Nouns, in the order that tables, plots and posteriors use.
EMOTIONS = (
    "neutral",
    "calm",
    "happiness",
    "sadness",
    "anger",
    "fear",
    "disgust",
    "surprise",
    "boredom",
    "excitement",
    "frustration",
)


def check_emotions(labels: Iterable[str]) -> None:
    """Raise UnknownEmotion unless every label is canonical."""
    unknown = sorted(set(labels) - set(EMOTIONS))
    if unknown:
        raise UnknownEmotion(
            f"Unknown emotion {', '.join(map(repr, unknown))}; known are {', '.join(EMOTIONS)}. "
            "Map the corpus's own codes to these."
        )


def classes_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The canonical labels that occur, in canonical order."""
    present = set(labels)
    check_emotions(present)
    return tuple(e for e in EMOTIONS if e in present)
