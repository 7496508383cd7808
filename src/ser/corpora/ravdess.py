"""RAVDESS, the Ryerson Audio-Visual Database of Emotional Speech and Song: its speech part."""

from __future__ import annotations

from pathlib import PurePath

from ser.corpora.base import Archive, Corpus, Labels, by_name
from ser.errors import CorpusError, UnknownEmotion

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
INTENSITY_CODES = {"01": "normal", "02": "strong"}
SENTENCE_CODES = {"01": "kids", "02": "dogs"}
AUDIO_ONLY, SPEECH = "03", "01"


def parse(path: PurePath) -> Labels:
    """`03-01-05-02-01-01-12.wav`: modality, channel, emotion, intensity, sentence, take, actor."""
    codes = path.stem.split("-")
    if len(codes) != 7 or not all(len(code) == 2 and code.isdigit() for code in codes):
        raise CorpusError(
            f"{path} is not a RAVDESS name; expected seven two-digit codes such as "
            "03-01-05-02-01-01-12.wav. Remove the file, or choose another corpus name."
        )
    modality, channel, emotion, intensity, sentence, _take, actor = codes
    if modality != AUDIO_ONLY or channel != SPEECH:
        raise CorpusError(
            f"{path} has modality {modality} and vocal channel {channel}; only audio-only speech "
            "(03-01-…) is read. Leave video and song out."
        )
    if emotion not in EMOTION_CODES:
        known = ", ".join(f"{code} {name}" for code, name in EMOTION_CODES.items())
        raise UnknownEmotion(
            f"{path} has emotion code {emotion}; RAVDESS defines {known}. Rename or remove it."
        )
    if intensity not in INTENSITY_CODES or sentence not in SENTENCE_CODES:
        raise CorpusError(
            f"{path} has intensity {intensity} and statement {sentence}; RAVDESS defines 01 and 02 "
            "for both. Rename or remove it."
        )
    if not 1 <= int(actor) <= 24:
        raise CorpusError(f"{path} names actor {actor}; RAVDESS has 01 to 24. Rename or remove it.")
    return Labels(
        speaker=actor,
        # Odd RAVDESS actors are male, even ones female.
        sex="male" if int(actor) % 2 else "female",
        emotion=EMOTION_CODES[emotion],
        intensity=INTENSITY_CODES[intensity],
        sentence=SENTENCE_CODES[sentence],
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
)
