"""WAV and AIFF whose headers give wrong sizes, and what stands behind their samples."""

import struct

import numpy as np
import pytest

from ser.errors import CorruptAudio, EmptyAudio
from ser.io.audio.read import decode
from support.recordings import SR, syllables, written

SPEECH = syllables(rng=np.random.default_rng(0))
PAIR = np.stack([SPEECH, SPEECH // 2], axis=1)
KINDS = {
    "8 bit": ("WAV", "PCM_U8", SPEECH),
    "16 bit": ("WAV", "PCM_16", SPEECH),
    "24 bit, stereo": ("WAV", "PCM_24", PAIR),
    "32 bit": ("WAV", "PCM_32", SPEECH),
    "float, stereo": ("WAV", "FLOAT", PAIR / 2**15),
    "double": ("WAV", "DOUBLE", SPEECH / 2**15),
    "A-law": ("WAV", "ALAW", SPEECH),
    "µ-law, stereo": ("WAV", "ULAW", PAIR),
    "IMA ADPCM": ("WAV", "IMA_ADPCM", SPEECH),
    "MS ADPCM, stereo": ("WAV", "MS_ADPCM", PAIR),
    "GSM": ("WAV", "GSM610", SPEECH),
    "extensible, stereo": ("WAVEX", "PCM_24", PAIR),
    "RIFX": ("WAV", "PCM_16", SPEECH),
    "RF64": ("RF64", "PCM_16", SPEECH),
    "AIFF, stereo": ("AIFF", "PCM_16", PAIR),
    "AIFC": ("AIFF", "ULAW", SPEECH),
}
#: (outer size, size of the samples); None: what is there.
SIZES = {
    "stopped arecord": (0x80000024, 0x80000000),
    "FFmpeg into a pipe": (0xFFFFFFFF, 0xFFFFFFFF),
    "SoX into a pipe": (0x7FFFF024, 0x7FFFF000),
    "never patched": (36, 0),
    "only the outer size patched": (None, 0),
    "no size at all": (0, 0),
    "too small": (None, 100),
}
METADATA = {
    "nothing": b"",
    "LIST": b"LIST\x04\0\0\0INFO",
    "bext and id3": b"bext\x02\0\0\0ab" + b"id3 \x04\0\0\0ID3\x04",
}


def made(kind: str) -> bytes:
    container, subtype, y = KINDS[kind]
    return written(y, container, subtype, endian="BIG" if kind == "RIFX" else "FILE")


def saying(file: bytes, outer: int | None, size: int, *, behind: bytes = b"") -> bytes:
    big = file[:4] in (b"RIFX", b"FORM")
    pack = struct.Struct(">I" if big else "<I").pack
    at = file.index(b"SSND" if file[:4] == b"FORM" else b"data") + 4
    if big:
        # The metadata of the tests are little-endian.
        behind = b""
    whole = file[:at] + pack(size) + file[at + 4 :] + behind
    return whole[:4] + pack(len(whole) - 8 if outer is None else outer) + whole[8:]


@pytest.mark.parametrize("behind", METADATA)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_sizes_lose_no_sample_and_metadata_are_no_samples(kind, sizes, behind):
    file = made(kind)
    wrong = saying(file, *SIZES[sizes], behind=METADATA[behind])
    np.testing.assert_array_equal(decode(wrong).y, decode(file).y)


@pytest.mark.parametrize("size64", [0, 2**64 - 1, 2**63])
def test_an_rf64_without_a_size_goes_to_its_end(size64):
    file = made("RF64")
    at = file.index(b"ds64") + 8
    for outer in (file[at : at + 8], bytes(8)):
        wrong = file[:at] + outer + struct.pack("<Q", size64) + file[at + 16 :]
        np.testing.assert_array_equal(decode(wrong).y, decode(file).y)


def test_silence_behind_a_header_without_sizes_is_no_padding():
    y = np.concatenate([np.zeros(SR, np.int16), SPEECH])
    for recorded in (y, y[:SR]):
        unpatched = saying(written(recorded, "WAV"), 36, 0)
        assert len(decode(unpatched).y) == len(recorded)


def test_chunks_of_odd_size_are_found_with_and_without_their_padding():
    file = made("16 bit")
    for junk in (b"FLLR\x03\0\0\0abc", b"FLLR\x03\0\0\0abc\0"):
        odd = file[:36] + junk + file[36:]
        np.testing.assert_array_equal(decode(odd).y, decode(file).y)


@pytest.mark.parametrize("behind", [bytes(4096), b"TAG" + bytes(125), b"ID3\x04" + bytes(30)])
def test_padding_and_tags_behind_the_samples_are_passed_over(behind):
    file = made("16 bit")
    np.testing.assert_array_equal(decode(file + behind).y, decode(file).y)


def test_what_cannot_be_decided_is_said():
    file = made("16 bit")
    for data, words in [
        (file[:-500], "breaks off after 31500 of 32000 bytes of sound"),
        (saying(file, None, 64_000), "or has a wrong header: its outer size fits"),
        (saying(file, 1036, 1000), "states 1000 bytes of sound, but 32000 follow \\(1.00 s\\)"),
        (file + bytes(range(1, 256)), "wrong header"),
        (file + file, "another recording behind the first"),
    ]:
        with pytest.raises(CorruptAudio, match=words):
            decode(data)
    with pytest.raises(EmptyAudio):
        decode(written(SPEECH[:0], "WAV") + METADATA["LIST"])
