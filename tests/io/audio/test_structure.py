"""One recording a file: more of them, or one with a hole, are noticed."""

import re

import numpy as np
import pytest

from ser.errors import AudioError, CorruptAudio, TooLongAudio
from ser.io.audio.read import decode
from support.recordings import SR, UPLOAD, muxed, syllables, written

SPEECH = syllables(rng=np.random.default_rng(0), seconds=2.0)
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "300000"}
MADE = {
    "WAV": lambda: written(SPEECH, "WAV"),
    "AIFF": lambda: written(SPEECH, "AIFF"),
    "FLAC": lambda: written(SPEECH, "FLAC"),
    "Ogg Vorbis": lambda: written(SPEECH, "OGG", "VORBIS"),
    "Opus": lambda: written(SPEECH, "OGG", "OPUS"),
    "FLAC in Ogg": lambda: muxed(SPEECH, "ogg", "flac"),
    "MP3, Xing": lambda: written(SPEECH, "MP3"),
    "MP3, tags": lambda: muxed(SPEECH, "mp3", "libmp3lame", write_xing="0", write_id3v1="1"),
    "M4A": lambda: muxed(SPEECH, "ipod", "aac"),
    "MP4, fragmented": lambda: muxed(SPEECH, "mp4", "aac", **FRAGMENTS),
    "WebM": lambda: muxed(SPEECH, "webm", "libopus"),
    "WebM from a browser": lambda: muxed(SPEECH, "webm", "libopus", live="1"),
}


@pytest.mark.parametrize("kind", MADE)
def test_half_of_a_file_is_never_read_without_a_word(kind):
    made = MADE[kind]()
    decode(made)
    with pytest.raises(CorruptAudio, match=r"The recording (holds another recording|is damaged)"):
        decode(made + made)


def test_bare_frames_one_after_another_are_read_whole():
    mp3 = muxed(SPEECH, "mp3", "libmp3lame", write_xing="0", id3v2_version="0")
    adts = muxed(SPEECH, "adts", "aac")
    for made in (mp3, adts):
        once, twice = decode(made), decode(made + made)
        assert twice.seconds == pytest.approx(2 * once.seconds, abs=0.05)


def test_another_container_behind_is_noticed():
    for kind in ("Ogg Vorbis", "MP3, tags"):
        with pytest.raises(CorruptAudio, match="another recording"):
            decode(MADE[kind]() + written(SPEECH, "MP3", sr=24_000))


def test_flac_in_ogg_gives_the_samples():
    np.testing.assert_array_equal(decode(MADE["FLAC in Ogg"]()).y, SPEECH / np.float32(2**15))


@pytest.mark.parametrize("kind", ["MP3, Xing", "MP3, tags"])
@pytest.mark.parametrize("filler", [0, 1])
def test_an_mp3_without_its_middle_is_damaged(kind, filler):
    mp3 = MADE[kind]()
    third = len(mp3) // 3
    with pytest.raises(CorruptAudio, match=r"damaged after 0\.\d+ s|breaks off after"):
        decode(mp3[:third] + bytes(filler * third) + mp3[2 * third :])


def test_an_ogg_without_a_page_is_damaged():
    noise = np.random.default_rng(0).normal(0, 3000, 8 * SR).astype(np.int16)
    ogg = written(noise, "OGG", "VORBIS")
    starts = [m.start() for m in re.finditer(b"OggS", ogg)]
    assert len(starts) > 5
    with pytest.raises(CorruptAudio, match="1 of its pages are missing"):
        decode(ogg[: starts[3]] + ogg[starts[4] :])


def test_fragments_that_are_missing_are_noticed():
    mp4 = MADE["MP4, fragmented"]()
    starts = [m.start() - 4 for m in re.finditer(b"moof", mp4)]
    index = mp4.index(b"mfra") - 4
    for data, words in [
        (mp4[: starts[2]], "has no index behind its fragments"),
        (mp4[:index], "has no index behind its fragments"),
        (mp4[: starts[1]] + mp4[starts[2] :], "fragment 1 is followed by 3"),
    ]:
        with pytest.raises(CorruptAudio, match=words):
            decode(data)


def hostile() -> dict[str, bytes]:
    size, noise = 2**23, np.random.default_rng(0).bytes(2**22)
    browser, ogg = MADE["WebM from a browser"](), MADE["Ogg Vorbis"]()
    start = browser[: browser.index(b"\x1f\x43\xb6\x75")]
    cluster = start + b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7
    mp3 = MADE["MP3, Xing"]()
    return {
        "WebM, noise": start + noise,
        "WebM, empty elements": cluster + b"\xec\x80" * (size // 2),
        "MP3, noise": mp3 + noise,
        "MP3, sync words": mp3 + mp3[:2] * (size // 2),
        "ADTS, headers": b"\xff\xf1\x60\x40\x00\xff\xfc" * (size // 7),
        "Ogg, empty pages": ogg[:58] + (b"OggS\0\0" + bytes(21)) * (size // 27),
        "MP4, empty boxes": MADE["M4A"]()[:28] + b"\0\0\0\x08free" * (size // 8),
        "WAV, empty chunks": MADE["WAV"]()[:36] + b"LIST\0\0\0\0" * (size // 8),
        "ID3, empty tags": b"ID3\x04\0\0\0\0\0\0" * (size // 10),
    }


def test_garbage_is_given_up_on_early(monkeypatch):
    """By the bytes that are looked at, as time would depend on the machine."""
    looked = 0

    class Counted(bytes):
        def __getitem__(self, key):
            nonlocal looked
            looked += 1
            return super().__getitem__(key)

    for kind, data in hostile().items():
        looked = 0
        with pytest.raises(AudioError):
            decode(Counted(data), limits=UPLOAD)
        assert looked < 600_000, kind


def test_frames_that_last_too_long_are_counted_no_further():
    mp3 = muxed(SPEECH, "mp3", "libmp3lame", write_xing="0", id3v2_version="0")
    adts = muxed(SPEECH, "adts", "aac")
    for made in (mp3, adts):
        with pytest.raises(TooLongAudio, match=r"after 300 s; .*most 300 s in one utterance"):
            decode(made * 200)


def test_two_flacs_in_one_file_are_two_recordings():
    rng = np.random.default_rng(1)
    first, second = (written(syllables(rng=rng), "FLAC") for _ in range(2))
    with pytest.raises(CorruptAudio, match=f"another recording FLAC behind .*byte {len(first)};"):
        decode(first + second)
    with pytest.raises(CorruptAudio, match="breaks off"):
        decode(first[:-100])
