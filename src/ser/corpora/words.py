"""The words that people use for emotions, and the mapping file that explains them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from ser.core.emotions import EMOTIONS
from ser.errors import CorpusError, UnknownEmotion

#: Common words for canonical emotions; case does not matter.
SYNONYMS = {
    "afraid": "fear",
    "angry": "anger",
    "bored": "boredom",
    "disgusted": "disgust",
    "excited": "excitement",
    "fearful": "fear",
    "frustrated": "frustration",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
}
#: What a mapping says of a word whose recordings are left out.
DROP = "drop"


def vocabulary(mapping: Mapping[str, str]) -> dict[str, str]:
    """Words in small letters -> canonical emotion or `drop`, the user's before ours."""
    wrong = {word: to for word, to in mapping.items() if to not in (*EMOTIONS, DROP)}
    if wrong:
        word, to = next(iter(wrong.items()))
        raise UnknownEmotion(
            f"The mapping makes {word!r} {to!r}; known are {', '.join(EMOTIONS)}, and {DROP} to "
            "leave its recordings out. Choose one of these."
        )
    said: dict[str, str] = {}
    for word, to in mapping.items():
        if said.setdefault(fold(word), to) != to:
            raise CorpusError(
                f"The mapping makes {word!r} both {said[fold(word)]} and {to}; capitals make no "
                "difference. Choose one."
            )
    return {emotion: emotion for emotion in EMOTIONS} | SYNONYMS | said


def unknown_words(words: Iterable[str]) -> UnknownEmotion:
    words = sorted(words)
    return UnknownEmotion(
        f"Unknown emotion words: {', '.join(words)}. Write a mapping file and name it with "
        f"--mapping: {skeleton(words)}, where EMOTION is one of {', '.join(EMOTIONS)}, or {DROP}."
    )


def skeleton(words: Iterable[str]) -> str:
    """A mapping to complete, as YAML on one line."""
    line = yaml.safe_dump(
        dict.fromkeys(words, "EMOTION"),
        default_flow_style=True,
        allow_unicode=True,
        width=float("inf"),
    )
    return str(line).strip()


def fold(word: str) -> str:
    return word.strip().casefold()
