from collections import Counter
from pathlib import PurePath

import pytest

from ser.corpora.base import Labels
from ser.corpora.catalogue import label_files
from ser.corpora.published.tess import EMOTION_CODES, TESS, parse
from ser.errors import CorpusError, UnknownEmotion

FOLDER = {"ps": "pleasant_surprised"}


def as_on_mirrors(name):
    """`OAF_back_ps.wav` lies in `OAF_pleasant_surprised`."""
    speaker, _word, emotion = PurePath(name).stem.split("_")
    return f"{'OAF' if speaker == 'OA' else speaker}_{FOLDER.get(emotion, emotion)}/{name}"


def test_a_published_name_says_who_said_what_how():
    assert parse(PurePath("YAF_pleasant_surprised/YAF_back_ps.wav")) == Labels(
        speaker="YAF", sex="female", emotion="surprise", intensity="unspecified", sentence="back"
    )


@pytest.mark.parametrize(("code", "emotion"), EMOTION_CODES.items())
def test_every_code_has_its_emotion(code, emotion):
    assert parse(PurePath(f"OAF_back_{code}.wav")).emotion == emotion


def test_the_misspelt_name_is_the_older_actress_s():
    labels = parse(PurePath("OAF_neutral/OA_bite_neutral.wav"))
    assert (labels.speaker, labels.sentence) == ("OAF", "bite")


def test_one_recording_under_both_spellings_is_refused(lay_out):
    with pytest.raises(CorpusError, match="are one recording"):
        label_files(lay_out(["OA_bite_neutral.wav", "OAF_bite_neutral.wav"]), TESS)


def test_a_mirror_that_holds_everything_twice_is_refused(lay_out):
    names = [as_on_mirrors(f"{s}_{w}_fear.wav") for s in ("OAF", "YAF") for w in ("back", "bar")]
    nested = "TESS Toronto emotional speech set data"
    folder = lay_out([*names, *(f"{nested}/{name}" for name in names)])
    with pytest.raises(CorpusError, match=r"one recording by their names \(and 3 more pairs\)"):
        label_files(folder, TESS)
    assert len(label_files(folder / nested, TESS)) == 4


def test_the_whole_corpus_is_labelled_as_published(checksums, lay_out):
    labels = label_files(lay_out(map(as_on_mirrors, checksums("tess"))), TESS)
    assert len(labels) == TESS.utterances == 2800
    cells = Counter((label.speaker, label.emotion) for label in labels.values())
    assert len(cells) == 14
    assert set(cells.values()) == {200}
    words = Counter(label.sentence for label in labels.values())
    assert len(words) == 200
    assert set(words.values()) == {14}


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("OAF_back_calm.wav", UnknownEmotion, "emotion code calm; TESS defines angry anger"),
        ("OAF_back_Fear.wav", UnknownEmotion, "emotion code Fear"),
        ("MAF_back_fear.wav", CorpusError, "speaker MAF; TESS defines OAF, YAF"),
        ("OA_back_fear.wav", CorpusError, "speaker OA;"),
        ("OAF_back.wav", CorpusError, "not a name of TESS"),
        ("back_fear.wav", CorpusError, "not a name of TESS"),
    ],
)
def test_a_foreign_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse(PurePath(name))
