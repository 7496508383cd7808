from pathlib import PurePath

import pytest

from ser.corpora.base import Labels
from ser.corpora.ravdess import EMOTION_CODES, parse
from ser.errors import CorpusError, UnknownEmotion


def test_a_published_name_says_who_said_what_how():
    assert parse(PurePath("Actor_12/03-01-06-02-01-02-12.wav")) == Labels(
        speaker="12", sex="female", emotion="fear", intensity="strong", sentence="kids"
    )


@pytest.mark.parametrize(("code", "emotion"), EMOTION_CODES.items())
def test_every_code_has_its_emotion(code, emotion):
    assert parse(PurePath(f"03-01-{code}-01-02-01-01.flac")).emotion == emotion


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("03-01-09-01-01-01-01.wav", UnknownEmotion, "emotion code 09; RAVDESS defines 01 neutral"),
        ("03-02-05-01-01-01-01.wav", CorpusError, "vocal channel 02"),
        ("01-01-05-01-01-01-01.wav", CorpusError, "modality 01"),
        ("03-01-05-01-01-01-25.wav", CorpusError, "actor 25"),
        ("03-01-05-03-01-01-01.wav", CorpusError, "intensity 03"),
        ("anger.wav", CorpusError, "not a RAVDESS name"),
    ],
)
def test_a_foreign_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse(PurePath(name))
