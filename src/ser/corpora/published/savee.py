"""SAVEE, the Surrey Audio-Visual Expressed Emotion database: its audio part."""

from __future__ import annotations

import re
from pathlib import PurePath

from ser.corpora.base import Corpus, Form, Labels, Names, by_name, unknown_code

EMOTION_CODES = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
#: All four are men.
SPEAKERS = ("DC", "JE", "JK", "KL")
#: Sentences of each emotion, but 30 of neutral; the first three are the same in all.
PER_EMOTION, OF_NEUTRAL, COMMON = 15, 30, 3

NAMES = Names(
    "SAVEE",
    re.compile(r"(?P<speaker>[A-Z]{2})_(?P<emotion>[a-z]+)(?P<number>\d\d)"),
    example="DC/a01.wav or DC_a01.wav",
    codes={"speaker": SPEAKERS, "emotion": EMOTION_CODES},
    stem=lambda path: path.stem if "_" in path.stem else f"{path.parent.name}_{path.stem}",
)


def parse(path: PurePath) -> Labels:
    """`DC_a01.wav` or, as published, `DC/a01.wav`: speaker, emotion, number of the sentence."""
    name = NAMES.parts(path)
    emotion, number = name["emotion"], int(name["number"])
    last = OF_NEUTRAL if emotion == "n" else PER_EMOTION
    if not 1 <= number <= last:
        known = [f"01 to {last} of {EMOTION_CODES[emotion]}"]
        raise unknown_code(path, "sentence", name["number"], "SAVEE", known)
    return Labels(
        speaker=name["speaker"],
        sex="male",
        emotion=EMOTION_CODES[emotion],
        # Neutral also repeats sentences of the other emotions, but no name shows which.
        sentence=f"common-{number:02d}" if number <= COMMON else f"{emotion}{number:02d}",
    )


SAVEE = Corpus(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion database",
    licence="for research, on registration",
    citation="Haq S, Jackson PJB (2010). Multimodal Emotion Recognition. In: Wang W (ed) Machine "
    "Audition: Principles, Algorithms and Systems. IGI Global, 398-423.",
    homepage="http://kahlan.eps.surrey.ac.uk/savee/",
    languages=("en",),
    speakers=4,
    utterances=480,
    codes=EMOTION_CODES,
    protocols=("savee-loso",),
    label=by_name(parse, identity=NAMES.stem),
    source=Form(
        "Register at http://kahlan.eps.surrey.ac.uk/savee/ (Download), fetch AudioData.zip with "
        "the account that you are sent, then `ser corpus add savee PATH`."
    ),
)
