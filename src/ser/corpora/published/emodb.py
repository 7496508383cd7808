"""EMO-DB, the Berlin Database of Emotional Speech."""

from __future__ import annotations

import re
from pathlib import PurePath

from ser.corpora.base import (
    UNSPECIFIED,
    Archive,
    Corpus,
    Labels,
    by_name,
    not_a_name,
    unknown_code,
    unknown_emotion,
)

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
SEXES = {
    "03": "male",
    "08": "female",
    "09": "female",
    "10": "male",
    "11": "male",
    "12": "male",
    "13": "female",
    "14": "female",
    "15": "male",
    "16": "female",
}
SENTENCES = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")

_NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[a-z]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z])")


def parse(path: PurePath) -> Labels:
    """`03a01Fa.wav`: speaker, text, emotion, version."""
    name = _NAME.fullmatch(path.stem)
    if name is None:
        raise not_a_name(path, "EMO-DB", "03a01Fa.wav")
    if name["speaker"] not in SEXES:
        raise unknown_code(path, "speaker", name["speaker"], "EMO-DB", SEXES)
    if name["sentence"] not in SENTENCES:
        raise unknown_code(path, "text", name["sentence"], "EMO-DB", SENTENCES)
    if name["emotion"] not in EMOTION_CODES:
        raise unknown_emotion(path, name["emotion"], "EMO-DB", EMOTION_CODES)
    return Labels(
        speaker=name["speaker"],
        sex=SEXES[name["speaker"]],
        emotion=EMOTION_CODES[name["emotion"]],
        intensity=UNSPECIFIED,
        sentence=name["sentence"],
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
