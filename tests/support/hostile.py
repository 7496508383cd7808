"""Files that a server meets and should not fall over: name -> bytes, a few hundred."""

from __future__ import annotations

import io
import struct
import zlib

import av
import numpy as np
import soundfile

SR = 16_000
OFFSETS = 10
FLIPS = 12


def hostile_files() -> dict[str, bytes]:
    whole = containers()
    files = dict(not_audio())
    for name, data in whole.items():
        step = len(data) // (OFFSETS + 1)
        files |= {f"{name} cut at {k}/11": data[: k * step] for k in range(1, OFFSETS + 1)}
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for k in range(FLIPS):
            flipped = bytearray(data)
            # Half of them in the head, where containers keep what they promise.
            at = int(rng.integers(0, min(len(data), 96) if k % 2 else len(data)))
            flipped[at] ^= int(rng.integers(1, 256))
            files[f"{name} flipped {k}"] = bytes(flipped)
        files[f"{name} twice"] = data + data
        files[f"{name} with a tail"] = data + b"\0tail" * 100
    files |= {
        f"{form} of {n} samples": written(np.zeros(n), form) for form in FORMS for n in (0, 1)
    }
    files |= headers()
    files |= lying_sizes()
    files |= {
        f"samples {name}": wav(np.full(SR, value, np.float32), bits=32, tag=3)
        for name, value in {
            "NaN": np.nan,
            "inf": np.inf,
            "-inf": -np.inf,
            "1e38": 1e38,
            "-1e38": -1e38,
            "tiny": 1e-40,
        }.items()
    }
    # Small files of many hours, and of one sample a second.
    files["FLAC of 20 minutes"] = written(np.zeros(20 * 60 * 8_000), "FLAC", sr=8_000)
    files["WAV at 1 Hz"] = wav(np.zeros(16_000, np.int16), sr=1)
    return files


FORMS = ("WAV", "FLAC", "OGG", "MP3", "AIFF")


def containers() -> dict[str, bytes]:
    t = np.arange(2 * SR) / SR
    y = 0.3 * np.sin(2 * np.pi * (150 + 40 * np.sin(6 * t)) * t)
    return {form: written(y, form) for form in FORMS} | {
        "M4A": coded(y, "mp4", "aac"),
        "WebM": coded(y, "webm", "libopus"),
        "AAC": coded(y, "adts", "aac"),
    }


def written(y: np.ndarray, form: str, *, sr: int = SR) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, y, sr, format=form)
    return buffer.getvalue()


def coded(y: np.ndarray, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.repeat(y, 3)[None].astype(np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return buffer.getvalue()


def wav(
    y: np.ndarray,
    *,
    sr: int = SR,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    riff: int | None = None,
    data: int | None = None,
) -> bytes:
    """A WAV whose header says what it is told to."""
    samples = y.tobytes()
    align = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", tag, channels, sr, min(sr * align, 2**32 - 1), align % 2**16, bits
    )
    size = len(samples) if data is None else data
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + samples
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def headers() -> dict[str, bytes]:
    y = (8_000 * np.sin(np.arange(SR) / 9)).astype(np.int16)
    rates = (0, 1, 7_999, 8_000, 44_100, 96_000, 192_000, 192_001, 2**31 - 1, 2**32 - 1)
    files = {
        f"{sr} Hz, {channels} channels": wav(y, sr=sr, channels=channels)
        for sr in rates
        for channels in (0, 1, 2, 8, 9, 255, 65_535)
    }
    return files | {f"{bits} bits": wav(y, bits=bits) for bits in (0, 1, 7, 12, 24, 64, 65_535)}


def lying_sizes() -> dict[str, bytes]:
    y = (8_000 * np.sin(np.arange(SR) / 9)).astype(np.int16)
    sizes = (0, 1, 7, 36, 2**31 - 1, 2**31, 2**32 - 1)
    return {f"RIFF says {size}": wav(y, riff=size) for size in sizes} | {
        f"data says {size}": wav(y, data=size) for size in sizes
    }


def not_audio() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    return {
        "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\nfile:///etc/passwd\n",
        "XSPF": b"<?xml version='1.0'?><playlist><track><location>/etc/passwd</location></track>",
        "SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        "text": b"not a recording\n" * 100,
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "JSON": b'{"a": [1, 2, 3]}',
        "zip": b"PK\x03\x04" + bytes(100),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
        "PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "PDF": b"%PDF-1.7\n" + bytes(100),
        "ELF": b"\x7fELF" + bytes(100),
        "pickle": b"\x80\x04cposix\nsystem\n(Vtrue\ntR.",
        "zeros": bytes(2**20),
        "noise": rng.bytes(2**20),
        "one byte": b"R",
        "ID3 alone": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(1_000),
        "ID3 of ID3": (b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)) * 2_000,
        "MP3 header alone": b"\xff\xfb\x90\x00",
        "ftyp alone": b"\x00\x00\x00\x20ftypisom" + bytes(20),
        "EBML alone": b"\x1aE\xdf\xa3" + bytes(20),
        "Ogg alone": b"OggS" + bytes(40),
        "FORM alone": b"FORM\x00\x00\x00\x04AIFF",
        "fLaC alone": b"fLaC",
    }
