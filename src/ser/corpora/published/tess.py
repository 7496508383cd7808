"""TESS, the Toronto emotional speech set: two actresses, 200 words in seven emotions."""

from __future__ import annotations

import re
from pathlib import PurePath

from ser.corpora.base import Corpus, Dataverse, Labels, Names, by_name

EMOTION_CODES = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
#: The older and the younger actress.
SPEAKERS = ("OAF", "YAF")
#: The one name that was published with a letter missing.
_MISSPELT = {"OA_bite_neutral": "OAF_bite_neutral"}
NAMES = Names(
    "TESS",
    re.compile(r"(?P<speaker>[A-Z]+)_(?P<word>[a-z]+)_(?P<emotion>[A-Za-z]+)"),
    example="OAF_back_angry.wav",
    codes={"speaker": SPEAKERS, "emotion": EMOTION_CODES},
    stem=lambda path: _MISSPELT.get(path.stem, path.stem),
)


def parse(path: PurePath) -> Labels:
    """`OAF_back_angry.wav`: actress, word, emotion."""
    name = NAMES.parts(path)
    return Labels(
        speaker=name["speaker"],
        sex="female",
        emotion=EMOTION_CODES[name["emotion"]],
        sentence=name["word"],
    )


TESS = Corpus(
    name="tess",
    title="Toronto emotional speech set",
    licence="CC BY-NC-ND 4.0",
    citation="Pichora-Fuller MK, Dupuis K (2020). Toronto emotional speech set (TESS). "
    "Borealis. doi:10.5683/SP2/E8H2MF.",
    homepage="https://doi.org/10.5683/SP2/E8H2MF",
    languages=("en",),
    speakers=2,
    utterances=2800,
    codes=EMOTION_CODES,
    protocols=("tess-cross",),
    label=by_name(parse, identity=NAMES.stem),
    source=Dataverse("https://borealisdata.ca", "doi:10.5683/SP2/E8H2MF"),
    digest="7e26554fb3bd14495a13ad056d331e57a43c2d263700d1ac4a1ba175aff68e77",
)
