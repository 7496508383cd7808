"""Recordings in folders, as a person would bring them."""

from __future__ import annotations

from pathlib import Path

import soundfile

from ser.corpora.synthetic.speak import speak, utterances
from ser.params import SyntheticParams

SR = 16_000
WORDS = {"anger": "angry", "sadness": "sad", "neutral": "neutral"}


def spoken_in(root: Path) -> Path:
    """EMOTION/SPEAKER/x.wav in `root`: three emotions, four speakers, two sentences."""
    for i, utterance in enumerate(utterances(SyntheticParams(speakers=4, sentences=2), seed=3)):
        speaker, _, emotion, _ = utterance.file.split("/")[-1].split("_")
        if emotion in WORDS:
            path = root / WORDS[emotion] / speaker / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speak(utterance, sr=SR), SR)
    return root
