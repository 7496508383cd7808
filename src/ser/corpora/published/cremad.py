"""CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset: its WAV recordings."""

from __future__ import annotations

import re
from pathlib import PurePath

from ser.core.utterance.intensity import UNSPECIFIED
from ser.corpora.base import Corpus, Labels, LfsRepository, Names, by_name

EMOTION_CODES = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
INTENSITY_CODES = {"LO": "low", "MD": "medium", "HI": "high", "XX": UNSPECIFIED}
SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
#: Of actors 1001 to 1091, after the corpus's VideoDemographics.csv; the others are male.
# fmt: off
FEMALE = frozenset([
    *range(1002, 1005), *range(1006, 1011), 1012, 1013, 1018, 1020, 1021, 1024, 1025,
    *range(1028, 1031), 1037, 1043, 1046, 1047, 1049, *range(1052, 1057), 1058, 1060, 1061,
    1063, *range(1072, 1077), 1078, 1079, 1082, 1084, 1089, 1091,
])
# fmt: on

NAMES = Names(
    "CREMA-D",
    re.compile(
        r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>[A-Z]{2})"
    ),
    example="1001_DFA_ANG_XX.wav",
    codes={
        "actor": [str(actor) for actor in range(1001, 1092)],
        "sentence": SENTENCES,
        "emotion": EMOTION_CODES,
        "level": INTENSITY_CODES,
    },
)


def parse(path: PurePath) -> Labels:
    """`1001_DFA_ANG_XX.wav`: actor, sentence, emotion, level."""
    name = NAMES.parts(path)
    return Labels(
        speaker=name["actor"],
        sex="female" if int(name["actor"]) in FEMALE else "male",
        emotion=EMOTION_CODES[name["emotion"]],
        intensity=INTENSITY_CODES[name["level"]],
        sentence=name["sentence"],
    )


def belongs(path: PurePath) -> bool:
    """False for the MP3 copies that the repository holds beside AudioWAV.

    Whoever has the WAV files elsewhere, or an MP3 copy alone, may name that folder itself.
    """
    return "AudioMP3" not in path.parts


CREMAD = Corpus(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset",
    licence="ODbL 1.0",
    citation="Cao H, Cooper DG, Keutmann MK, Gur RC, Nenkova A, Verma R (2014). "
    "IEEE Transactions on Affective Computing 5(4): 377-390.",
    homepage="https://github.com/CheyneyComputerScience/CREMA-D",
    languages=("en",),
    speakers=91,
    utterances=7442,
    codes=EMOTION_CODES,
    protocols=("cremad-blocks5",),
    label=by_name(parse),
    source=LfsRepository("CheyneyComputerScience/CREMA-D", "master", "AudioWAV"),
    digest="e4647a0ebe5e990b2ad9783448e128a5586ac581a3991548d08248cca3591188",
    belongs=belongs,
    known_bad={"1076_MTI_SAD_XX": "silent as published"},
)
