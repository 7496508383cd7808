from collections import Counter
from pathlib import PurePath

import pytest

from ser.corpora.base import Labels
from ser.corpora.catalogue import label_files
from ser.corpora.published.cremad import CREMAD, EMOTION_CODES, FEMALE, SENTENCES, parse
from ser.errors import CorpusError, MissingCorpus, UnknownEmotion


def test_a_published_name_says_who_said_what_how():
    assert parse(PurePath("AudioWAV/1002_IEO_FEA_HI.wav")) == Labels(
        speaker="1002", sex="female", emotion="fear", intensity="high", sentence="IEO"
    )


@pytest.mark.parametrize(("code", "emotion"), EMOTION_CODES.items())
def test_every_code_has_its_emotion(code, emotion):
    assert parse(PurePath(f"1001_DFA_{code}_XX.wav")).emotion == emotion


def test_48_men_and_43_women_speak():
    sexes = Counter(parse(PurePath(f"{a}_DFA_NEU_XX.wav")).sex for a in range(1001, 1092))
    assert sexes == {"male": 48, "female": 43}
    assert set(range(1001, 1092)) >= FEMALE


def test_the_repository_s_wav_files_are_read_and_nothing_beside_them(lay_out):
    names = [f"{a}_{s}_{e}_XX" for a in (1001, 1091) for s in SENTENCES for e in EMOTION_CODES]
    folder = lay_out(
        [f"AudioWAV/{name}.wav" for name in names]
        + [f"AudioMP3/{name}.mp3" for name in names]
        + [f"VideoFlash/{name}.flv" for name in names]
        + ["VideoDemographics.csv"]
    )
    labels = label_files(folder, CREMAD)
    assert len(labels) == 2 * 12 * 6
    assert {file.parts[0] for file in labels} == {"AudioWAV"}


def test_the_folder_of_the_wav_files_itself_can_be_named(lay_out):
    folder = lay_out(["AudioWAV/1001_DFA_ANG_XX.wav"])
    assert len(label_files(folder / "AudioWAV", CREMAD)) == 1


def test_mp3_copies_alone_are_not_the_corpus(lay_out):
    with pytest.raises(MissingCorpus, match="holds no recordings"):
        label_files(lay_out(["AudioMP3/1001_DFA_ANG_XX.mp3"]), CREMAD)


def test_the_whole_corpus_is_labelled_as_its_paper_says(checksums, lay_out):
    labels = label_files(lay_out(f"AudioWAV/{name}" for name in checksums("cremad")), CREMAD)
    assert len(labels) == CREMAD.utterances == 7442
    assert len({label.speaker for label in labels.values()}) == CREMAD.speakers
    counts = Counter(label.emotion for label in labels.values())
    assert counts.pop("neutral") == 1087
    assert set(counts.values()) == {1271}
    per_speaker = Counter(label.speaker for label in labels.values())
    assert sorted(Counter(per_speaker.values()).items()) == [(76, 3), (81, 2), (82, 86)]
    levels = Counter(label.intensity for label in labels.values())
    assert levels == {"low": 455, "medium": 455, "high": 455, "unspecified": 6077}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("1001_DFA_BOR_XX.wav", UnknownEmotion, "emotion code BOR; CREMA-D defines ANG anger"),
        ("1092_DFA_ANG_XX.wav", CorpusError, "actor 1092; CREMA-D defines 1001 to 1091"),
        ("1000_DFA_ANG_XX.wav", CorpusError, "actor 1000"),
        ("1001_ABC_ANG_XX.wav", CorpusError, "sentence ABC; CREMA-D defines DFA, IEO"),
        ("1001_DFA_ANG_YY.wav", CorpusError, "level YY; CREMA-D defines LO, MD, HI, XX"),
        ("1001_DFA_ANG.wav", CorpusError, "not a name of CREMA-D"),
        ("1001_DFA_ANG_XX_2.wav", CorpusError, "not a name of CREMA-D"),
    ],
)
def test_a_foreign_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse(PurePath(name))
