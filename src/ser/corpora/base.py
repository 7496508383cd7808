"""What every corpus declares: where its facts are, and how a file name becomes a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")


@dataclass(frozen=True)
class Labels:
    """What a file name (or table) says of one utterance; emotion is canonical."""

    speaker: str
    sex: str
    emotion: str
    intensity: str
    sentence: str


@dataclass(frozen=True)
class Corpus:
    """A corpus of emotional speech.

    parse : path relative to the corpus's folder -> Labels; raises CorpusError where the
        name is not of this corpus, UnknownEmotion where its emotion code is unknown.
    """

    name: str
    title: str
    licence: str
    citation: str
    homepage: str
    speakers: int
    utterances: int
    parse: Callable[[PurePath], Labels]


def is_audio(path: PurePath) -> bool:
    """True for a recording; hidden files, such as macOS's `._x.wav`, are not."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
