from pathlib import PurePath

import pytest

from ser.corpora.own.matching import match_files

HERE = [PurePath(name) for name in ("x/Zoë.flac", "x/a.flac", "DC/a01.wav", "JE/a01.wav", "b.wav")]


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        *[("x/a.flac", "x/a.flac"), ("./b.wav", "b.wav"), ("x\\a.flac", "x/a.flac")],
        *[("x/Zoe\u0308.flac", "x/Zoë.flac"), ("X/ZOË.FLAC", "x/Zoë.flac"), ("B.WAV", "b.wav")],
        *[("a.wav", "x/a.flac"), ("a", "x/a.flac"), ("data/x/a.wav", "x/a.flac")],
        *[("/home/me/x/a.wav", "x/a.flac"), ("//server/x/a.wav", "x/a.flac"), ("/b.wav", "b.wav")],
        *[("C:\\me\\x\\a.wav", "x/a.flac"), ("/set/JE/a01.wav", "JE/a01.wav")],
        *[("JE/a01.mp3", "JE/a01.wav"), ("set/JE/a01.wav", "JE/a01.wav")],
    ],
)
def test_a_recording_is_found_where_only_one_can_be_meant(listed, file):
    assert match_files([listed], HERE) == {listed: file}


@pytest.mark.parametrize(
    "listed",
    [
        *("a01.wav", "KL/a01.wav", "y/a.wav", "c.wav", "/", "/etc/passwd", "/a01.wav"),
        *("../a.wav", "/x/../a.wav", "/home/me/../x/a.wav"),
    ],
)
def test_what_may_be_another_recording_is_not_taken_for_one(listed):
    assert match_files([listed], HERE) == {}


def test_names_that_capitals_alone_tell_apart_stay_apart():
    here = [PurePath("A.wav"), PurePath("a.wav")]
    assert match_files(["A.wav", "a.wav", "A.WAV"], here) == {"A.wav": "A.wav", "a.wav": "a.wav"}
