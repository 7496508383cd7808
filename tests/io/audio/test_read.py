import hashlib
import os
import struct

import numpy as np
import pytest
import soundfile

from ser.core.utterance.segments import WHOLE
from ser.corpora.catalogue import label_files
from ser.corpora.published.ravdess import RAVDESS
from ser.errors import AudioError, ChangedAudio, CorruptAudio, EmptyAudio, RefusedAudio
from ser.io.audio.read import (
    Limits,
    audio_sha256,
    decode,
    load_mono,
    load_segments,
    read_recording,
)
from support.recordings import SR, UPLOAD, fit, load_audio, muxed, syllables, written


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """One second of int16."""
    return syllables(rng=np.random.default_rng(0))


def chunked(wav: bytes) -> bytes:
    """The WAV with chunks before and after `data`, as RAVDESS has them; one of odd size."""
    junk = b"FLLR" + struct.pack("<I", 3) + b"abc\0"
    return wav[:36] + junk + wav[36:] + b"LIST\x04\0\0\0INFO" + b"_PMX\x02\0\0\0<>"


LOSSLESS = {
    "WAV PCM_16": lambda y: written(y, "WAV", "PCM_16"),
    "WAV PCM_24": lambda y: written(y, "WAV", "PCM_24"),
    "WAV PCM_32": lambda y: written(y, "WAV", "PCM_32"),
    "WAV FLOAT": lambda y: written(y / 2**15, "WAV", "FLOAT"),
    "WAV DOUBLE": lambda y: written(y / 2**15, "WAV", "DOUBLE"),
    "WAVE_EXTENSIBLE": lambda y: written(y, "WAVEX", "PCM_24"),
    "RF64": lambda y: written(y, "RF64", "PCM_16"),
    "RIFX": lambda y: written(y, "WAV", "PCM_16", endian="BIG"),
    "WAV, extra chunks": lambda y: chunked(written(y, "WAV", "PCM_16")),
    "AIFF": lambda y: written(y, "AIFF", "PCM_16"),
    "AIFC, little-endian": lambda y: written(y, "AIFF", "PCM_16", endian="LITTLE"),
    "AIFC, float": lambda y: written(y / 2**15, "AIFF", "FLOAT"),
    "FLAC": lambda y: written(y, "FLAC", "PCM_16"),
    "FLAC, 24 bit": lambda y: written(y, "FLAC", "PCM_24"),
    "FLAC behind ID3": lambda y: b"ID3\x04\0\0\0\0\0\x05abcde" + written(y, "FLAC", "PCM_16"),
    "FLAC before ID3v1": lambda y: written(y, "FLAC", "PCM_16") + b"TAG" + bytes(125),
    "Apple Lossless": lambda y: muxed(y, "ipod", "alac", coder={"sample_fmt": "s16p"}),
    "QuickTime, PCM": lambda y: muxed(y, "mov", "pcm_s16le"),
    "Matroska, PCM": lambda y: muxed(y, "matroska", "pcm_s16le"),
}
LOSSY = {
    "MP3": lambda y, sr: written(y, "MP3", sr=sr),
    "Ogg Vorbis": lambda y, sr: written(y, "OGG", "VORBIS", sr=sr),
    "Opus": lambda y, sr: written(y, "OGG", "OPUS", sr=sr),
    "A-law": lambda y, sr: written(y, "WAV", "ALAW", sr=sr),
    "µ-law": lambda y, sr: written(y, "WAV", "ULAW", sr=sr),
    "µ-law AIFC": lambda y, sr: written(y, "AIFF", "ULAW", sr=sr),
    "M4A": lambda y, sr: muxed(y, "ipod", "aac", sr=sr),
    "MP4, fragmented": lambda y, sr: muxed(
        y, "mp4", "aac", sr=sr, movflags="frag_keyframe+empty_moov", frag_duration="300000"
    ),
    "ADTS": lambda y, sr: muxed(y, "adts", "aac", sr=sr),
    "WebM": lambda y, sr: muxed(y, "webm", "libopus", sr=sr),
    "WebM from a browser": lambda y, sr: muxed(y, "webm", "libopus", sr=sr, live="1"),
    "MP3, variable, no header": lambda y, sr: muxed(
        y,
        "mp3",
        "libmp3lame",
        sr=sr,
        write_xing="0",
        coder={"flags": "qscale", "global_quality": "300"},
    ),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_same_samples(speech, kind):
    recording = decode(LOSSLESS[kind](speech))
    np.testing.assert_array_equal(recording.y, speech / np.float32(2**15))
    assert recording.sr == SR
    assert audio_sha256(recording) == audio_sha256(decode(written(speech, "WAV")))


def test_eight_bits_and_both_channels_survive(speech):
    pair = np.stack([speech, speech // 4], axis=1) & ~0xFF
    for data in (
        written(pair, "WAV", "PCM_U8"),
        written(pair, "AIFF", "PCM_S8"),
        written(pair, "FLAC", "PCM_S8"),
        muxed(pair, "ipod", "alac", coder={"sample_fmt": "s16p"}),
        muxed(pair, "matroska", "pcm_s16le"),
    ):
        np.testing.assert_array_equal(decode(data).y, (pair / np.float32(2**15)).mean(1))


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_stay_close(speech, kind):
    rate = 48_000
    y = syllables(sr=rate, rng=np.random.default_rng(1))
    decoded = load_audio(LOSSY[kind](y, rate), sr=rate)
    correlation, lag = fit(y / 2**15, decoded)
    assert correlation >= 0.95
    # The coders' own delay, where nothing in the file says how long it is.
    delay = {"ADTS": 1024, "MP4, fragmented": 1024, "MP3, variable, no header": 1105}.get(kind, 0)
    assert 0 <= lag <= delay
    assert len(y) <= len(decoded) <= len(y) + delay + 1152


def test_real_speech_survives_every_format(real_corpora):
    folder = real_corpora / "ravdess"
    original, _ = read_recording(folder / sorted(label_files(folder, RAVDESS))[700])
    mono = np.round(original.y * 2**15).astype(np.int16)
    for kind, make in LOSSY.items():
        decoded = load_audio(make(mono, original.sr), sr=original.sr)
        assert fit(mono / 2**15, decoded)[0] >= 0.95, kind


def test_a_suffix_is_not_believed(tmp_path, speech):
    for name, data in [
        ("flac.wav", written(speech, "FLAC")),
        ("wav.mp3", written(speech, "WAV")),
        ("webm.m4a", muxed(speech, "webm", "libopus")),
    ]:
        (tmp_path / name).write_bytes(data)
        y = load_audio(tmp_path / name, sr=SR)
        assert fit(speech / 2**15, y)[0] > 0.95


def test_bytes_and_path_give_the_same_samples(tmp_path, speech):
    path = tmp_path / "a.flac"
    path.write_bytes(written(speech, "FLAC"))
    np.testing.assert_array_equal(load_mono(path.read_bytes())[0], load_mono(path)[0])


def test_stereo_is_mixed_down_and_48_khz_resampled(tmp_path):
    t = np.arange(48_000) / 48_000
    tone = 0.2 * np.sin(2 * np.pi * 440 * t)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, 0.5 * tone], axis=1), 48_000)
    y = load_audio(tmp_path / "a.wav", sr=SR)
    assert y.shape == (SR,)
    assert y.dtype == np.float32
    expected = 0.15 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    np.testing.assert_allclose(y[800:-800], expected[800:-800], atol=2e-3)


def test_a_pipe_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "p.wav")
    with pytest.raises(AudioError, match=r"p\.wav is no regular file.*leave it out"):
        load_mono(tmp_path / "p.wav")


def test_empty_and_corrupt_files_are_named(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "byte.wav").write_bytes(b"R")
    (tmp_path / "text.wav").write_text("this is no audio" * 50)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), SR)
    for name, error in [
        ("empty.wav", EmptyAudio),
        ("byte.wav", CorruptAudio),
        ("text.wav", CorruptAudio),
        ("none.wav", EmptyAudio),
        ("missing.wav", AudioError),
    ]:
        for read in (load_mono, read_recording):
            with pytest.raises(error, match=name):
                read(tmp_path / name)


@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(speech, kind, value):
    y = speech / 2**15
    y[100], y[200] = value, -value
    with pytest.raises(CorruptAudio, match="NaN or infinite"):
        decode(written(y, kind, "FLOAT"))


def test_what_lies_beyond_full_scale_is_clipped():
    y = np.array([0.5, 1.0, -1.0, 1.5, -3.0, 0.1])
    recording = decode(written(y, "WAV", "FLOAT"))
    np.testing.assert_array_equal(recording.y, np.float32([0.5, 1, -1, 1, -1, 0.1]))


@pytest.mark.parametrize("rate", [1, 7_999, 192_001, 2**31 - 1])
def test_absurd_rates_are_refused(speech, rate):
    wav = bytearray(written(speech, "WAV"))
    wav[24:28] = struct.pack("<I", rate)
    with pytest.raises(RefusedAudio, match=f"{rate} samples a second"):
        decode(bytes(wav))


def test_more_channels_than_read_are_refused():
    for channels in (9, 255):
        with pytest.raises(RefusedAudio, match=f"{channels} channels"):
            decode(written(np.zeros((10, channels)), "WAV"))


def test_a_file_over_the_limit_is_not_even_read(tmp_path):
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RefusedAudio, match=r"huge\.wav has 1048576\.0 MiB; .*most 4096\.0 MiB"):
        load_mono(tmp_path / "huge.wav")
    with pytest.raises(RefusedAudio, match=r"at most 25\.0 MiB"):
        decode(bytes(UPLOAD.max_bytes + 1), limits=UPLOAD)


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_a_recording_longer_than_the_limit_is_refused(speech, kind):
    data = LOSSLESS[kind](speech) if kind in LOSSLESS else LOSSY[kind](speech, SR)
    half = Limits(max_bytes=2**20, max_seconds=0.5)
    with pytest.raises(RefusedAudio, match=r"0\.5 s"):
        decode(data, limits=half)


def test_one_flipped_bit_is_noticed(tmp_path, speech):
    path = tmp_path / "a.wav"
    soundfile.write(path, speech, SR)
    recorded = hashlib.sha256(path.read_bytes()).hexdigest()
    load_segments(path, [WHOLE], sha256=recorded)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChangedAudio, match=r"a\.wav has SHA-256"):
        load_segments(path, [WHOLE], sha256=recorded)


def test_the_hashes_are_of_the_bytes_and_of_the_sound(tmp_path, speech):
    wav, flac, louder = (tmp_path / name for name in ("a.wav", "a.flac", "b.wav"))
    wav.write_bytes(written(speech, "WAV"))
    flac.write_bytes(written(speech, "FLAC"))
    louder.write_bytes(written(speech + (speech < 0), "WAV"))
    found, sha256 = read_recording(wav)
    assert found.seconds == 1.0
    assert sha256 == hashlib.sha256(wav.read_bytes()).hexdigest()
    packed, other_bytes = read_recording(flac)
    assert audio_sha256(packed) == audio_sha256(found)
    assert other_bytes != sha256
    assert audio_sha256(read_recording(louder)[0]) != audio_sha256(found)
    wav.write_bytes(written(speech, "WAV", sr=SR // 2))
    assert audio_sha256(read_recording(wav)[0]) != audio_sha256(found)
