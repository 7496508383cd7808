"""What FFmpeg could be made to do, and is not."""

import subprocess
import sys

import av
import numpy as np
import pytest

from ser.errors import AudioError, CorruptAudio, MissingDecoder
from ser.io.audio import av_decoder
from ser.io.audio.containers import Container
from ser.io.audio.read import decode, load_mono
from support.recordings import SR, UPLOAD, fit, muxed, syllables, written

SPEECH = syllables(rng=np.random.default_rng(0), seconds=0.5)


def ffmpeg_reads(source: str, **options: str) -> np.ndarray:
    """Samples that an unguarded FFmpeg finds in a file."""
    with av.open(source, **options) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


def elsewhere(mov: bytes, path: str) -> bytes:
    """The MOV's header alone, with a Macintosh alias that says that its media are at `path`."""
    name = path.encode()
    name += b"\0" * (len(name) % 2)
    alias = bytes(12) + bytes(10) + bytes(28) + bytes(12) + bytes(64) + bytes(16 + 4 + 16)
    alias += (2).to_bytes(2, "big") + len(name).to_bytes(2, "big") + name + b"\xff\xff\0\0"
    entry = (8 + len(alias)).to_bytes(4, "big") + b"alis" + alias
    header = bytearray(mov[: mov.index(b"ftyp") - 4 + 20] + mov[mov.index(b"moov") - 4 :])
    at = header.index(b"dref") + 12
    old = int.from_bytes(header[at : at + 4], "big")
    header[at : at + old] = entry
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        box = header.index(kind) - 4
        size = int.from_bytes(header[box : box + 4], "big") + len(entry) - old
        header[box : box + 4] = size.to_bytes(4, "big")
    return bytes(header)


def test_a_script_named_m4a_reads_no_other_file(tmp_path):
    (tmp_path / "secret.wav").write_bytes(written(SPEECH, "WAV"))
    script = tmp_path / "voice.m4a"
    script.write_text("ffconcat version 1.0\nfile secret.wav\n")
    assert len(ffmpeg_reads(str(script))) >= len(SPEECH)
    with pytest.raises(CorruptAudio, match=r"voice\.m4a starts with b'ffconcat'"):
        load_mono(script)
    for container in av_decoder.DEMUXERS:
        with pytest.raises(AudioError):
            av_decoder.decode(script.read_bytes(), container=container, limits=UPLOAD)


def test_a_mov_whose_media_lie_elsewhere_reads_no_other_file(tmp_path):
    secret = tmp_path / "secret.mov"
    secret.write_bytes(muxed(SPEECH, "mov", "alac", coder={"sample_fmt": "s16p"}))
    hostile = tmp_path / "voice.m4a"
    hostile.write_bytes(elsewhere(secret.read_bytes(), str(secret)))
    found = ffmpeg_reads(str(hostile), options={"enable_drefs": "1", "use_absolute_path": "1"})
    np.testing.assert_array_equal(found >> 16, SPEECH)
    for read in (
        decode,
        lambda data: av_decoder.decode(data, container=Container.MP4, limits=UPLOAD),
    ):
        with pytest.raises(AudioError, match="The recording "):
            read(hostile.read_bytes())


def test_video_is_passed_over_and_only_video_refused(tmp_path):
    def filmed(*, with_sound: bool) -> bytes:
        path = tmp_path / "film.mp4"
        with av.open(str(path), "w") as file:
            picture = file.add_stream("mpeg4", rate=5)
            picture.width = picture.height = 64
            sound = file.add_stream("aac", rate=SR, layout="mono") if with_sound else None
            for _ in range(3):
                image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
                file.mux(picture.encode(image))
            file.mux(picture.encode(None))
            if sound:
                frame = av.AudioFrame.from_ndarray(SPEECH[None], format="s16", layout="mono")
                frame.sample_rate, frame.pts = SR, 0
                file.mux([*sound.encode(frame), *sound.encode(None)])
        return path.read_bytes()

    assert fit(SPEECH / 2**15, decode(filmed(with_sound=True)).y)[0] > 0.95
    with pytest.raises(AudioError, match="holds no audio"):
        decode(filmed(with_sound=False))


def test_without_pyav_the_error_names_the_extra(monkeypatch):
    made = [muxed(SPEECH, "ipod", "aac"), muxed(SPEECH, "webm", "libopus")]
    monkeypatch.setitem(sys.modules, "av", None)
    for data in made:
        with pytest.raises(MissingDecoder, match=r"pip install 'ser-platform\[formats\]'"):
            decode(data)
    assert decode(written(SPEECH, "WAV")).sr == SR


def test_pyav_is_not_imported_for_what_libsndfile_reads(tmp_path):
    (tmp_path / "a.wav").write_bytes(written(SPEECH, "WAV"))
    code = (
        "import sys, pathlib; from ser.io.audio.read import load_mono; "
        "load_mono(pathlib.Path(sys.argv[1])); assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.wav")], check=True)
