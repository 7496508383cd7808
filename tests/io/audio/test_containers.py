import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.errors import AudioError, CorruptAudio, RefusedAudio
from ser.io.audio.containers import Container, sniff
from ser.io.audio.read import Limits, decode
from support.recordings import SR, UPLOAD, muxed, syllables, written

SPEECH = syllables(rng=np.random.default_rng(0), seconds=2.0)
VARIABLE = {"flags": "qscale", "global_quality": "300"}
MADE = {
    "WAV": written(SPEECH, "WAV"),
    "RIFX": written(SPEECH, "WAV", endian="BIG"),
    "RF64": written(SPEECH, "RF64"),
    "AIFF": written(SPEECH, "AIFF"),
    "AIFC": written(SPEECH, "AIFF", "ALAW"),
    "FLAC": written(SPEECH, "FLAC"),
    "Ogg Vorbis": written(SPEECH, "OGG", "VORBIS"),
    "Opus": written(SPEECH, "OGG", "OPUS"),
    "MP3": written(SPEECH, "MP3"),
    "MP3 behind ID3": muxed(SPEECH, "mp3", "libmp3lame"),
    "MP3, no header": muxed(SPEECH, "mp3", "libmp3lame", write_xing="0", coder=VARIABLE),
    "M4A": muxed(SPEECH, "ipod", "aac"),
    "MP4, fragmented": muxed(
        SPEECH, "mp4", "aac", movflags="frag_keyframe+empty_moov", frag_duration="300000"
    ),
    "ADTS": muxed(SPEECH, "adts", "aac"),
    "WebM": muxed(SPEECH, "webm", "libopus"),
    "WebM from a browser": muxed(SPEECH, "webm", "libopus", live="1"),
}
BOUND = Limits(max_bytes=2**24, max_seconds=10.0)


def flac_saying(n_samples: int, flac: bytes) -> bytes:
    stated = int.from_bytes(flac[18:26], "big") >> 36 << 36 | n_samples
    return flac[:18] + stated.to_bytes(8, "big") + flac[26:]


def wav_saying(data_size: int, wav: bytes, *, riff_size: int | None = None) -> bytes:
    riff = wav[4:8] if riff_size is None else struct.pack("<I", riff_size)
    return wav[:4] + riff + wav[8:40] + struct.pack("<I", data_size) + wav[44:]


def mp3_saying(frames: int, mp3: bytes) -> bytes:
    at = max(mp3.find(b"Xing"), mp3.find(b"Info"))
    return mp3[: at + 8] + struct.pack(">I", frames) + mp3[at + 12 :]


@pytest.mark.parametrize("kind", MADE)
def test_first_bytes_tell_the_container(kind):
    expected = {
        **dict.fromkeys(("RIFX", "RF64"), Container.WAV),
        **dict.fromkeys(("AIFC",), Container.AIFF),
        **dict.fromkeys(("Ogg Vorbis", "Opus"), Container.OGG),
        **dict.fromkeys(("MP3 behind ID3", "MP3, no header"), Container.MP3),
        **dict.fromkeys(("M4A", "MP4, fragmented"), Container.MP4),
        "ADTS": Container.AAC,
        "WebM from a browser": Container.WEBM,
    }
    assert sniff(MADE[kind]) == expected.get(kind, kind)


@pytest.mark.parametrize(
    "data",
    [
        b"ffconcat version 1.0\nfile secret.wav\n",
        b"#EXTM3U\nsecret.wav",
        b"RIFF\0\0\0\0AVI LIST",
        b"FORM\0\0\0\x048SVX",
        b"\xff\xfet\0e\0x\0t\0 \0i\0n\0 \0U\0T\0F\0",
        b"\xff\xfb\x90\0 and no second frame" + bytes(2000),
        b"%PDF-1.7",
        b"ID3\x04\0\0\0\0\0\x02ab%PDF",
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_anything_else_is_refused_by_name(data):
    with pytest.raises(CorruptAudio, match=r"recording starts with b['\"].* expected WAV, FLAC"):
        decode(data)


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_recording_that_breaks_off_is_an_error(kind, share):
    data = MADE[kind]
    with pytest.raises(CorruptAudio, match=r"The recording (is damaged, or )?breaks off after \d"):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", MADE)
def test_one_missing_byte_is_noticed(kind):
    with pytest.raises(CorruptAudio, match="breaks off after"):
        decode(MADE[kind][:-1])


def test_an_mp4_with_its_header_first_may_not_break_off_either(tmp_path):
    data = muxed(SPEECH, "mp4", "aac", to=tmp_path / "a.mp4", movflags="faststart")
    assert data.index(b"moov") < data.index(b"mdat")
    assert decode(data).seconds > 2
    with pytest.raises(CorruptAudio, match=r"breaks off after \d+ of \d+ bytes of its mdat box"):
        decode(data[: len(data) * 3 // 4])


@pytest.mark.parametrize(
    ("size", "riff"),
    [(0, 0), (0, 2**32 - 1), (2**32 - 1, 2**32 - 1), (0x7FFFF000, 0x7FFFF024)],
)
def test_a_wav_from_a_pipe_goes_to_its_end(size, riff):
    streamed = wav_saying(size, MADE["WAV"], riff_size=riff)
    whole = decode(MADE["WAV"]).y
    np.testing.assert_array_equal(decode(streamed).y, whole)


def test_headers_that_lie_about_length():
    wav, flac, mp3 = MADE["WAV"], MADE["FLAC"], MADE["MP3"]
    for data, error, words in [
        (wav_saying(2 * SPEECH.nbytes, wav), CorruptAudio, "breaks off after 64000 of 128000"),
        (flac_saying(2 * len(SPEECH), flac), CorruptAudio, "breaks off after 2.00 s of 4.00 s"),
        (flac_saying(1000, flac), CorruptAudio, "goes on for 2.00 s, but its header states 0.06"),
        (flac_saying(2**36 - 1, flac), RefusedAudio, r"lasts 1193\.0 h by its header"),
        (mp3_saying(200, mp3), CorruptAudio, "breaks off after .* s of 7.20 s"),
        (mp3_saying(2**32 - 1, mp3), CorruptAudio, "breaks off after"),
        (mp3_saying(10, mp3), CorruptAudio, "goes on for .* but its header states 0.36 s"),
    ]:
        with pytest.raises(error, match=words):
            decode(data)
    np.testing.assert_array_equal(decode(flac_saying(0, flac)).y, decode(flac).y)


def test_a_vbri_header_that_promises_more_is_noticed():
    mp3 = MADE["MP3, no header"]
    start = mp3.index(b"\xff\xf3")
    room = bytes([0xFF, 0xF3, 0xC8, 0xC4]).ljust(36, b"\0")
    for frames, whole in [(57, True), (80, False)]:
        vbri = room + struct.pack(">4sHHHII", b"VBRI", 1, 0, 0, len(mp3), frames)
        size = 72 * 128_000 // SR
        data = mp3[:start] + vbri.ljust(size, b"\0") + mp3[start:]
        if whole:
            headed = decode(data).y
            np.testing.assert_array_equal(headed, decode(mp3).y)
        else:
            with pytest.raises(CorruptAudio, match="breaks off after"):
                decode(data)


def test_an_mp3_of_variable_rate_without_header_is_read_to_its_end():
    """libsndfile alone guesses its length from the first frames."""
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.integers(-9000, 9000, SR), np.zeros(9 * SR)]).astype(np.int16)
    made = muxed(y, "mp3", "libmp3lame", write_xing="0", coder=VARIABLE)
    assert 10.0 <= decode(made).seconds < 10.2


def test_hours_of_silence_in_a_few_bytes_are_refused():
    flac = written(np.zeros(700 * 8000, dtype=np.int16), "FLAC", sr=8000)
    assert len(flac) < 2**17
    with pytest.raises(RefusedAudio, match="lasts 700 s by its header; expected at most 300 s"):
        decode(flac, limits=UPLOAD)
    with pytest.raises(RefusedAudio, match="goes on after 300 s"):
        decode(flac_saying(0, flac), limits=UPLOAD)
    with pytest.raises((RefusedAudio, CorruptAudio), match="goes on"):
        decode(flac_saying(8000, flac), limits=UPLOAD)


def test_a_table_of_samples_larger_than_the_file_is_refused():
    """FFmpeg would build an index of it first."""
    m4a = bytearray(MADE["M4A"])
    at = m4a.index(b"stsz")
    for size, count, listed in [(1, 2**31, 2**33), (2**31, 3, 3 * 2**31)]:
        m4a[at + 8 : at + 16] = struct.pack(">II", size, count)
        with pytest.raises(CorruptAudio, match=f"lists {listed} bytes of samples"):
            decode(bytes(m4a))


def test_a_compressed_mp4_header_is_refused():
    with pytest.raises(CorruptAudio, match="compressed header"):
        decode(MADE["M4A"].replace(b"mvhd", b"cmov"))


def sound_or_error(data: bytes) -> str:
    """Decodes; what the error said, if it was one meant for the user."""
    try:
        assert np.abs(decode(data, limits=BOUND).y).max() <= 1
    except AudioError as error:
        return str(error)
    return "The recording is sound"


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(MADE)), body=st.binary(max_size=300), kept=st.integers(4, 200))
def test_random_bytes_behind_the_right_magic_end_in_one_line_or_sound(kind, body, kept):
    answer = sound_or_error(MADE[kind][:kept] + body)
    assert answer.startswith("The recording ")
    assert "\n" not in answer


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(MADE)),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    near_start=st.booleans(),
)
def test_damage_ends_in_one_line_or_sound(kind, damage, near_start):
    data = bytearray(MADE[kind])
    for where, value in damage:
        data[int(where * ((200 if near_start else len(data)) - 1))] = value
    assert sound_or_error(bytes(data)).startswith("The recording ")
