"""EMO-DB, the Berlin Database of Emotional Speech."""

from __future__ import annotations

import re
from pathlib import PurePath

from ser.corpora.base import Archive, Corpus, Labels, Names, by_name

#: Initials of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer. Boredom is a
#: canonical emotion that no other corpus here has.
EMOTION_CODES = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
FEMALE = ("08", "09", "13", "14", "16")
SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
SENTENCES = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")

NAMES = Names(
    "EMO-DB",
    re.compile(r"(?P<speaker>\d\d)(?P<text>[a-z]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z])"),
    example="03a01Fa.wav",
    codes={"speaker": SPEAKERS, "text": SENTENCES, "emotion": EMOTION_CODES},
)


def parse(path: PurePath) -> Labels:
    """`03a01Fa.wav`: speaker, text, emotion, version."""
    name = NAMES.parts(path)
    return Labels(
        speaker=name["speaker"],
        sex="female" if name["speaker"] in FEMALE else "male",
        emotion=EMOTION_CODES[name["emotion"]],
        sentence=name["text"],
    )


EMODB = Corpus(
    name="emodb",
    title="Berlin Database of Emotional Speech",
    licence="free of charge, none named; cite the paper",
    citation="Burkhardt F, Paeschke A, Rolfes M, Sendlmeier WF, Weiss B (2005). "
    "A database of German emotional speech. Interspeech 2005: 1517-1520.",
    homepage="http://emodb.bilderbar.info/",
    languages=("de",),
    speakers=10,
    utterances=535,
    codes=EMOTION_CODES,
    protocols=("emodb-loso",),
    label=by_name(parse),
    source=Archive(url="http://emodb.bilderbar.info/download/download.zip"),
    digest="67ea3aa0b342d0a38111ace76140a293aa16c785afc7493120f204f88875d744",
)
