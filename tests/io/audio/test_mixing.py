"""Channels into one, block after block."""

import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from ser.core.utterance.waveform import mono
from ser.errors import CancellingAudio, RefusedAudio, TooLongAudio
from ser.io.audio import read as audio
from ser.io.audio.mixing import mix
from ser.io.audio.read import Limits, decode, load_mono, read_recording
from ser.io.audio.source import FileBytes
from ser.io.audio.take import take
from support.recordings import SR, muxed, syllables, written

RNG = np.random.default_rng(0)
SPEECH = syllables(rng=RNG) / 2**15
RUMBLE = 0.5 * np.sin(2 * np.pi * 20 * np.arange(SPEECH.size) / SR)
NOISE = RNG.normal(0, 0.1, SPEECH.size)

CANCELLING = {
    "opposite": [SPEECH, -SPEECH],
    "opposite but for -40 dB": [SPEECH, -0.99 * SPEECH],
    "opposite in noise": [SPEECH + 0.02 * NOISE, -SPEECH],
    "three": [SPEECH, -0.5 * SPEECH, -0.5 * SPEECH],
    "two pairs": [SPEECH, -SPEECH, NOISE, -NOISE],
    "opposite beside an empty channel": [SPEECH, -SPEECH, 0 * SPEECH],
    "opposite beside a quiet channel": [SPEECH, -SPEECH, 0.3 * NOISE],
    "opposite, over rumble in both": [SPEECH + RUMBLE, -SPEECH + RUMBLE],
    "opposite, with an offset": [SPEECH + 0.1, -SPEECH + 0.1],
}
SOUND = {
    "alike": [SPEECH, SPEECH],
    "one empty": [SPEECH, 0 * SPEECH],
    "seven empty": [SPEECH, *[0 * SPEECH] * 7],
    "unlike": [SPEECH, NOISE],
    "one inverted and quiet": [SPEECH, -0.5 * SPEECH],
    "rumble that cancels": [0.1 * SPEECH + RUMBLE, 0.1 * SPEECH - RUMBLE],
    "offsets that cancel": [0.01 * SPEECH + 0.2, 0.01 * SPEECH - 0.2],
    "silence": [0 * SPEECH, 0 * SPEECH],
    "delayed": [SPEECH, np.roll(SPEECH, 20)],
}


@pytest.mark.parametrize("kind", CANCELLING)
def test_channels_that_cancel_are_named(kind):
    y = np.stack(CANCELLING[kind], axis=1) * 0.5
    for made in (written(y, "WAV", "PCM_24"), written(y, "FLAC", "PCM_24")):
        with pytest.raises(CancellingAudio, match=r"channels that cancel each other.*Take one"):
            decode(made)


@pytest.mark.parametrize("kind", SOUND)
def test_channels_that_do_not_cancel_are_mixed(kind):
    y = (np.stack(SOUND[kind], axis=1) * 0.5).astype(np.float32)
    np.testing.assert_array_equal(decode(written(y, "WAV", "FLOAT")).y, mono(y))


def test_lossy_channels_that_cancel_are_named():
    pair = (np.stack([SPEECH, -SPEECH], axis=1) * 2**14).astype(np.int16)
    for made in (written(pair, "OGG", "VORBIS"), muxed(pair, "ipod", "aac")):
        with pytest.raises(CancellingAudio):
            decode(made)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_blocks_give_the_samples_of_one_piece(tmp_path, rate):
    y = RNG.normal(0, 0.1, (3 * rate + 77, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", y, rate, subtype="FLOAT")
    whole, sr = load_mono(tmp_path / "a.wav")
    np.testing.assert_array_equal(whole, mono(y))
    assert sr == rate
    blocks = (y[start : start + 1000] for start in range(0, len(y), 1000))
    np.testing.assert_array_equal(mix(blocks, sr=rate).y, whole)


@pytest.mark.parametrize(
    "make",
    [
        lambda y: written(y, "WAV"),
        lambda y: written(y, "AIFF"),
        lambda y: written(y, "FLAC"),
        lambda y: written(y, "MP3"),
        lambda y: written(y, "OGG", "OPUS"),
        lambda y: muxed(y, "ogg", "flac"),
        lambda y: muxed(y, "ipod", "aac"),
        lambda y: muxed(y, "webm", "libopus"),
        lambda y: muxed(y, "adts", "aac"),
    ],
    ids=["WAV", "AIFF", "FLAC", "MP3", "Opus", "FLAC in Ogg", "M4A", "WebM", "ADTS"],
)
def test_a_large_file_is_read_by_parts_and_gives_the_same(tmp_path, monkeypatch, make):
    path = tmp_path / "a"
    path.write_bytes(make((SPEECH * 2**15).astype(np.int16)))
    expected, sha256 = read_recording(path)
    monkeypatch.setattr(audio, "AT_ONCE", 1000)
    found, again = read_recording(path)
    np.testing.assert_array_equal(found.y, expected.y)
    assert (found.sr, again) == (expected.sr, sha256)


def peak_mib(path) -> float:
    """Peak memory that decoding adds to a process."""
    code = (
        "import resource, sys; from pathlib import Path; from ser.io.audio.read import load_mono\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "load_mono(Path(sys.argv[1]))\n"
        "print((peak() - before) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def test_memory_is_that_of_the_result(tmp_path):
    with soundfile.SoundFile(
        tmp_path / "a.flac", "w", 192_000, 8, format="FLAC", subtype="PCM_16"
    ) as file:
        block = np.zeros((192_000, 8), np.int16)
        block[::100] = 1
        for _ in range(20):
            file.write(block)
    # All channels are 117 MiB, the result is 15 MiB.
    assert peak_mib(tmp_path / "a.flac") < 50


def test_a_sparse_file_is_refused_unread(tmp_path, monkeypatch):
    read = []
    pread = FileBytes._pread
    monkeypatch.setattr(
        FileBytes, "_pread", lambda self, at, size: read.append(size) or pread(self, at, size)
    )
    head = written(np.zeros(10, np.int16), "WAV")[:40]
    path = tmp_path / "a.wav"
    for size in (3 * 2**30 - 44, 0, 2**32 - 1):
        with path.open("wb") as file:
            file.write(head + struct.pack("<I", size))
            file.truncate(3 * 2**30)
        with pytest.raises(TooLongAudio, match=r"lasts 28\.0 h by its header"):
            load_mono(path)
    assert sum(read) < 2**25


def test_a_limit_holds_before_and_while_channels_are_mixed():
    flac = written(np.zeros((3 * SR, 2), np.int16), "FLAC")
    opened = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
    for data, words in [(flac, "lasts 3 s by its header"), (opened, "goes on after 2 s")]:
        with pytest.raises(RefusedAudio, match=words):
            decode(data, limits=Limits(max_bytes=2**20, max_seconds=2.0))


def test_a_recording_of_ten_minutes_is_no_utterance_by_its_header_alone(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(written(np.zeros(600 * 8000, np.int16), "FLAC", sr=8000))
    # No front end is asked.
    refused = take(None, path).result
    assert refused.reason == "too_long"
    assert "lasts 600 s by its header" in refused.detail
    assert "at most 300 s in one utterance" in refused.detail
