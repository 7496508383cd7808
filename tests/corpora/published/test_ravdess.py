from pathlib import PurePath

import pytest

from ser.corpora.base import Labels
from ser.corpora.catalogue import label_files
from ser.corpora.published.ravdess import (
    EMOTION_CODES,
    RAVDESS,
    RAVDESS_SONG,
    SONG_EMOTION_CODES,
    parse,
    parse_song,
)
from ser.errors import CorpusError, UnknownEmotion


def layout(channel, emotions, actors):
    """As in the archives: both intensities (neutral has one), statements and takes."""
    return [
        f"Actor_{actor:02d}/03-{channel}-{emotion}-{intensity}-{statement}-{take}-{actor:02d}.wav"
        for actor in actors
        for emotion in emotions
        for intensity in (["01"] if emotion == "01" else ["01", "02"])
        for statement in ("01", "02")
        for take in ("01", "02")
    ]


def test_all_speech_is_read(lay_out):
    labels = label_files(lay_out(layout("01", EMOTION_CODES, range(1, 25))), RAVDESS)
    assert len(labels) == RAVDESS.utterances
    assert len({label.speaker for label in labels.values()}) == RAVDESS.speakers


def test_all_songs_are_read_and_actor_18_has_none(lay_out):
    singers = [actor for actor in range(1, 25) if actor != 18]
    labels = label_files(lay_out(layout("02", SONG_EMOTION_CODES, singers)), RAVDESS_SONG)
    assert len(labels) == RAVDESS_SONG.utterances
    assert len({label.speaker for label in labels.values()}) == RAVDESS_SONG.speakers
    assert {label.emotion for label in labels.values()} == {
        "neutral",
        "calm",
        "happiness",
        "sadness",
        "anger",
        "fear",
    }


def test_a_singer_is_the_speaker_of_the_same_number():
    sung, spoken = (
        parse_song(PurePath("03-02-05-02-01-01-12.wav")),
        parse(PurePath("03-01-05-02-01-01-12.wav")),
    )
    assert sung == spoken


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("03-01-05-01-01-01-01.wav", CorpusError, "vocal channel 01 and belongs to ravdess; rav"),
        ("03-02-07-01-01-01-01.wav", UnknownEmotion, "emotion code 07; the song part of RAVDESS"),
        ("03-02-05-01-01-01-18.wav", CorpusError, "actor 18, who does not sing"),
        ("02-02-05-01-01-01-01.wav", CorpusError, "modality 02"),
        ("song.wav", CorpusError, "not a name of RAVDESS; expected one such as 03-02-"),
    ],
)
def test_what_is_no_song_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse_song(PurePath(name))


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
        ("03-02-05-01-01-01-01.wav", CorpusError, "channel 02 and belongs to ravdess-song"),
        ("03-03-05-01-01-01-01.wav", CorpusError, "vocal channel 03; RAVDESS defines 01, 02"),
        ("03-01-05-01-03-01-01.wav", CorpusError, "statement 03"),
        ("01-01-05-01-01-01-01.wav", CorpusError, "modality 01"),
        ("03-01-05-01-01-01-25.wav", CorpusError, "actor 25"),
        ("03-01-05-03-01-01-01.wav", CorpusError, "intensity 03"),
        ("anger.wav", CorpusError, "not a name of RAVDESS"),
    ],
)
def test_a_foreign_name_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        parse(PurePath(name))
