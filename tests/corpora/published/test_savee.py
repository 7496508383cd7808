from collections import Counter
from pathlib import PurePath

import pytest

from ser.corpora.base import Labels
from ser.corpora.catalogue import label_files
from ser.corpora.published.savee import (
    EMOTION_CODES,
    OF_NEUTRAL,
    PER_EMOTION,
    SAVEE,
    SPEAKERS,
    parse,
)
from ser.errors import CorpusError, UnknownEmotion

STEMS = [
    (speaker, f"{code}{number:02d}")
    for speaker in SPEAKERS
    for code in EMOTION_CODES
    for number in range(1, (OF_NEUTRAL if code == "n" else PER_EMOTION) + 1)
]


@pytest.mark.parametrize("pattern", ["AudioData/{}/{}.wav", "{}/{}.wav", "{}_{}.wav"])
def test_the_whole_corpus_is_labelled_as_published(lay_out, pattern):
    folder = lay_out([*(pattern.format(*stem) for stem in STEMS), "AudioData/Info.txt"])
    labels = label_files(folder, SAVEE)
    assert len(labels) == SAVEE.utterances == 480
    assert Counter(label.speaker for label in labels.values()) == dict.fromkeys(SPEAKERS, 120)
    counts = Counter(label.emotion for label in labels.values())
    assert counts.pop("neutral") == 120
    assert counts == dict.fromkeys(set(EMOTION_CODES.values()) - {"neutral"}, 60)


@pytest.mark.parametrize("name", ["KL/su07.wav", "KL_su07.wav"])
def test_both_ways_of_naming_say_the_same(name):
    assert parse(PurePath(name)) == Labels(
        speaker="KL", sex="male", emotion="surprise", intensity="unspecified", sentence="su07"
    )


def test_only_the_first_three_sentences_are_shared_by_emotions():
    sentences = {
        number: {parse(PurePath(f"DC_{code}{number:02d}.wav")).sentence for code in EMOTION_CODES}
        for number in range(1, 16)
    }
    assert [len(sentences[number]) for number in range(1, 16)] == [1, 1, 1] + [7] * 12
    assert len(set.union(*sentences.values())) == 3 + 12 * 7


def test_one_recording_under_both_ways_of_naming_is_refused(lay_out):
    with pytest.raises(CorpusError, match="are one recording"):
        label_files(lay_out(["DC/a01.wav", "ALL/DC_a01.wav"]), SAVEE)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("DC/x01.wav", UnknownEmotion, "emotion code x; SAVEE defines a anger"),
        ("XX/a01.wav", CorpusError, "speaker XX; SAVEE defines DC, JE, JK, KL"),
        ("DC/a16.wav", CorpusError, "sentence 16; SAVEE defines 01 to 15 of anger"),
        ("DC/n31.wav", CorpusError, "sentence 31; SAVEE defines 01 to 30 of neutral"),
        ("DC/a00.wav", CorpusError, "sentence 00"),
        ("a01.wav", CorpusError, "not a name of SAVEE"),
        ("DC/anger.wav", CorpusError, "not a name of SAVEE"),
    ],
)
def test_a_foreign_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse(PurePath(name))
