"""RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song: two corpora.

Speech (`ravdess`) and song (`ravdess-song`) are by the same actors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from ser.corpora.base import Archive, Corpus, Labels, Names, by_name, unknown_code
from ser.errors import CorpusError

EMOTION_CODES = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
SONG_EMOTION_CODES = {code: EMOTION_CODES[code] for code in ("01", "02", "03", "04", "05", "06")}
INTENSITY_CODES = {"01": "normal", "02": "strong"}
SENTENCE_CODES = {"01": "kids", "02": "dogs"}
AUDIO_ONLY, SPEECH, SONG = "03", "01", "02"
#: Vocal channel -> the corpus of its recordings.
CORPUS_OF = {SPEECH: "ravdess", SONG: "ravdess-song"}
NAMES = Names(
    "RAVDESS",
    re.compile(
        r"(?P<modality>\d\d)-(?P<vocal_channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)"
        r"-(?P<statement>\d\d)-(?P<take>\d\d)-(?P<actor>\d\d)",
        re.ASCII,
    ),
    example="03-01-05-02-01-01-12.wav",
    codes={
        "vocal_channel": CORPUS_OF,
        "intensity": INTENSITY_CODES,
        "statement": SENTENCE_CODES,
        "actor": [f"{actor:02d}" for actor in range(1, 25)],
    },
)


def parse(path: PurePath) -> Labels:
    """`03-01-05-02-01-01-12.wav`: modality, channel, emotion, intensity, sentence, take, actor."""
    return _parse(path, SPEECH, EMOTION_CODES)


def parse_song(path: PurePath) -> Labels:
    """`03-02-05-02-01-01-12.wav`, of the same parts; actor 18 did not sing."""
    labels = _parse(path, SONG, SONG_EMOTION_CODES)
    if labels.speaker == "18":
        raise CorpusError(
            f"{path} names actor 18, who does not sing in RAVDESS. Rename or remove it."
        )
    return labels


def _parse(path: PurePath, wanted: str, emotions: Mapping[str, str]) -> Labels:
    name = replace(NAMES, example=f"03-{wanted}-05-02-01-01-12.wav").parts(path)
    channel, emotion, actor = name["vocal_channel"], name["emotion"], name["actor"]
    if name["modality"] != AUDIO_ONLY:
        raise CorpusError(
            f"{path} has modality {name['modality']}; only audio (03-…) is read. Leave video out."
        )
    if channel != wanted:
        raise CorpusError(
            f"{path} has vocal channel {channel} and belongs to {CORPUS_OF[channel]}; "
            f"{CORPUS_OF[wanted]} holds channel {wanted}. Add the two apart."
        )
    if emotion not in emotions:
        part = "RAVDESS" if wanted == SPEECH else "the song part of RAVDESS"
        raise unknown_code(path, "emotion", emotion, part, emotions)
    return Labels(
        speaker=actor,
        # Odd RAVDESS actors are male, even ones female.
        sex="male" if int(actor) % 2 else "female",
        emotion=emotions[emotion],
        intensity=INTENSITY_CODES[name["intensity"]],
        sentence=SENTENCE_CODES[name["statement"]],
    )


RAVDESS = Corpus(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (speech)",
    licence="CC BY-NC-SA 4.0",
    citation="Livingstone SR, Russo FA (2018). PLoS ONE 13(5): e0196391.",
    homepage="https://zenodo.org/records/1188976",
    languages=("en",),
    speakers=24,
    utterances=1440,
    codes=EMOTION_CODES,
    protocols=("ravdess-luna5", "ravdess-emobox6"),
    label=by_name(parse),
    source=Archive(
        url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
        size=208_468_073,
        md5="bc696df654c87fed845eb13823edef8a",
    ),
    digest="c28ce010ccfd4c5058f071f096f404eff8f29f7b7b59a18bb24d1d06c33edc14",
)

RAVDESS_SONG = replace(
    RAVDESS,
    name="ravdess-song",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (song)",
    speakers=23,
    utterances=1012,
    codes=SONG_EMOTION_CODES,
    protocols=("leave-one-speaker-out",),
    label=by_name(parse_song),
    source=Archive(
        url="https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip?download=1",
        size=225_505_317,
        md5="5411230427d67a21e18aa4d466e6d1b9",
    ),
    people="ravdess",
    digest=None,
)
