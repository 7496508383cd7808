from collections import Counter
from pathlib import PurePath

import pytest

from ser.corpora.base import Labels
from ser.corpora.catalogue import label_files
from ser.corpora.published.emodb import EMODB, EMOTION_CODES, SENTENCES, SPEAKERS, parse
from ser.errors import CorpusError, UnknownEmotion


def test_a_published_name_says_who_said_what_how():
    assert parse(PurePath("wav/16b10Lb.wav")) == Labels(
        speaker="16", sex="female", emotion="boredom", intensity="unspecified", sentence="b10"
    )


@pytest.mark.parametrize(("code", "emotion"), EMOTION_CODES.items())
def test_every_code_has_its_emotion(code, emotion):
    assert parse(PurePath(f"03a01{code}a.wav")).emotion == emotion


def test_five_men_and_five_women_speak():
    sexes = Counter(parse(PurePath(f"{speaker}a01Fa.wav")).sex for speaker in SPEAKERS)
    assert sexes == {"male": 5, "female": 5}


def test_the_archive_s_recordings_are_read_and_nothing_beside_them(lay_out):
    stems = [f"{s}{t}{e}a" for s in SPEAKERS for t in SENTENCES for e in EMOTION_CODES]
    folder = lay_out(
        [f"wav/{stem}.wav" for stem in stems]
        + [f"lablaut/{stem}.lablaut" for stem in stems]
        + [f"labsilb/{stem}.labsilb" for stem in stems]
        + [f"silb/{stem}.silb" for stem in stems]
        + ["erkennung.txt", "erklaerung.txt"]
    )
    labels = label_files(folder, EMODB)
    assert len(labels) == 10 * 10 * 7
    assert {file.parts[0] for file in labels} == {"wav"}


def test_versions_of_one_sentence_are_several_recordings(lay_out):
    assert len(label_files(lay_out(["wav/03a01Fa.wav", "wav/03a01Fb.wav"]), EMODB)) == 2


def test_the_whole_corpus_is_labelled_as_its_paper_says(checksums, lay_out):
    labels = label_files(lay_out(f"wav/{name}" for name in checksums("emodb")), EMODB)
    assert len(labels) == EMODB.utterances == 535
    assert Counter(label.emotion for label in labels.values()) == {
        "anger": 127,
        "boredom": 81,
        "neutral": 79,
        "happiness": 71,
        "fear": 69,
        "sadness": 62,
        "disgust": 46,
    }
    assert Counter(label.sex for label in labels.values()) == {"female": 302, "male": 233}
    assert set(SENTENCES) == {label.sentence for label in labels.values()}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("03a01Xa.wav", UnknownEmotion, "emotion code X; EMO-DB defines W anger, L boredom"),
        ("04a01Fa.wav", CorpusError, "speaker 04; EMO-DB defines 03, 08"),
        ("03a03Fa.wav", CorpusError, "text a03; EMO-DB defines a01, a02, a04"),
        ("03a01F.wav", CorpusError, "not a name of EMO-DB"),
        ("anger.wav", CorpusError, "not a name of EMO-DB"),
    ],
)
def test_a_foreign_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse(PurePath(name))
