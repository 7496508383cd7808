"""The embedded corpus: six emotions synthesised by espeak-ng; same parameters, same bytes.

It stands in for a recorded corpus where none is at hand: tests, demonstrations, a first
`dvc repro`. Scores on it hold for synthetic speech only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import PurePath

import numpy as np

from ser.corpora.base import Corpus, Labels, Names, by_name
from ser.corpora.synthetic.prosody import (
    EMOTIONS,
    Prosody,
    Voice,
    draw_habit,
    draw_prosody,
    draw_voice,
)
from ser.params import SyntheticParams

#: Everyday statements that fit any emotion, 7 to 9 words each.
SENTENCES = {
    "s01": "The letter is lying on the kitchen table.",
    "s02": "They moved the meeting to Monday at noon.",
    "s03": "My brother came home on the late train.",
    "s04": "In seven hours the water will be back.",
    "s05": "She put the green boxes behind the door.",
    "s06": "We are going to see the house again.",
    "s07": "Nobody told him about the other phone call.",
    "s08": "The neighbours have painted their garden fence.",
}

NAMES = Names(
    "the synthetic corpus",
    re.compile(
        r"(?P<speaker>spk(?!00)(\d\d|[1-9]\d{2,}))_(?P<sentence>s\d\d)_(?P<emotion>[a-z]+)"
        r"_t[1-9]\d*"
    ),
    example="spk01_s03_anger_t1.wav",
    codes={"sentence": SENTENCES, "emotion": EMOTIONS},
)


@dataclass(frozen=True)
class Utterance:
    """One planned recording: its labels, and all that was drawn at random for it.

    file : relative to the corpus's folder, with forward slashes.
    seed : of the recording's own noise.
    """

    file: str
    speaker: str
    sex: str
    emotion: str
    sentence: str
    text: str
    voice: Voice
    prosody: Prosody
    seed: int


def utterances(params: SyntheticParams, *, seed: int) -> list[Utterance]:
    """The plan of the corpus, in the order of its file names.

    Each draw comes from the seed and the identity of what is drawn (a speaker, an utterance), so
    that more speakers, sentences or takes leave the existing ones as they are.
    """
    return [
        utterance
        for number in range(1, params.speakers + 1)
        for utterance in _utterances_of(f"spk{number:02d}", params, seed)
    ]


def speak(utterance: Utterance, *, sr: int = 16_000) -> np.ndarray:
    """The utterance as recorded: float32 (n,), mono, within ±0.97."""
    # Importing this module must not load the synthesizer.
    from ser.corpora.synthetic.voicing import render

    rng = np.random.default_rng(utterance.seed)
    return render(utterance.text, utterance.voice, utterance.prosody, sr=sr, rng=rng)


def parse(path: PurePath) -> Labels:
    """`spk01/spk01_s03_anger_t1.wav` -> speaker, sentence, emotion, take."""
    name = NAMES.parts(path)
    return Labels(
        speaker=name["speaker"],
        sex=_sex(name["speaker"]),
        emotion=name["emotion"],
        intensity="normal",
        sentence=name["sentence"],
    )


def _utterances_of(speaker: str, params: SyntheticParams, seed: int) -> Iterator[Utterance]:
    sex = _sex(speaker)
    voice = draw_voice(sex, rng=_rng(seed, speaker))
    habits = {
        emotion: draw_habit(emotion, rng=_rng(seed, speaker, emotion)) for emotion in EMOTIONS
    }
    sentences, takes = list(SENTENCES)[: params.sentences], range(1, params.takes + 1)
    for sentence, emotion, take in product(sentences, EMOTIONS, takes):
        name = f"{speaker}_{sentence}_{emotion}_t{take}"
        rng = _rng(seed, name)
        yield Utterance(
            file=f"{speaker}/{name}.wav",
            speaker=speaker,
            sex=sex,
            emotion=emotion,
            sentence=sentence,
            text=SENTENCES[sentence],
            voice=voice,
            prosody=draw_prosody(emotion, voice.expressiveness, habits[emotion], rng=rng),
            seed=int(rng.integers(2**62)),
        )


def _sex(speaker: str) -> str:
    # Odd speakers are male, even ones female, as in RAVDESS.
    return "male" if int(speaker.removeprefix("spk")) % 2 else "female"


def _rng(seed: int, *identity: str) -> np.random.Generator:
    """A generator for one speaker or utterance: its draws depend on no others."""
    digest = hashlib.sha256("/".join([str(seed), *identity]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


SYNTHETIC = Corpus(
    name="synthetic",
    title="Embedded corpus of emotional speech, spoken by espeak-ng",
    licence="Apache-2.0",
    citation="Prosody after Burkhardt F, Sendlmeier WF (2000). ISCA ITRW Speech and Emotion, "
    "and Banse R, Scherer KR (1996). J Pers Soc Psychol 70(3): 614-636.",
    homepage="https://github.com/espeak-ng/espeak-ng",
    languages=("en",),
    speakers=16,
    utterances=768,
    codes={emotion: emotion for emotion in EMOTIONS},
    protocols=("holdout",),
    label=by_name(parse),
)
