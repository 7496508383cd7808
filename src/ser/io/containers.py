"""Which container a recording is, from its first bytes, and whether all of it is there.

Suffixes and declared types are not asked: what a decoder is handed is decided here. Decoders
are lenient with recordings that break off; the checks here are not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

import numpy as np

from ser.corpora.base import AUDIO_FORMATS
from ser.errors import CorruptAudio
from ser.io.mpeg import adts_end, census, is_adts, is_mpeg, tag_end


class Container(StrEnum):
    WAV = "WAV"
    FLAC = "FLAC"
    MP3 = "MP3"
    OGG = "Ogg"
    AIFF = "AIFF"
    MP4 = "MP4"
    AAC = "AAC"
    WEBM = "WebM"


#: Sizes of a `data` chunk whose writer could not know its length and did not come back:
#: FFmpeg, SoX and GStreamer into a pipe.
ENDLESS = (0xFFFFFFFF, 0x7FFFF000, 0x7FFF0000)
#: Encoders differ on whether the header frame, or one at the end, counts.
SLACK_FRAMES = 2
EBML_SEGMENT, EBML_CLUSTER = 0x18538067, 0x1F43B675


def sniff(data: bytes, name: str = "audio") -> Container:
    """The container that `data` begins as; CorruptAudio, naming the bytes found, for any other."""
    start = tag_end(data)
    head = data[start : start + 12]
    match head[:4], head[8:12]:
        case (b"RIFF" | b"RF64" | b"RIFX", b"WAVE"):
            return Container.WAV
        case (b"FORM", b"AIFF" | b"AIFC"):
            return Container.AIFF
        case (b"fLaC", _):
            return Container.FLAC
        case (b"OggS", _):
            return Container.OGG
        case (b"\x1aE\xdf\xa3", _):
            return Container.WEBM
    if head[4:8] == b"ftyp":
        return Container.MP4
    if is_mpeg(data, start):
        return Container.MP3
    if is_adts(data, start):
        return Container.AAC
    raise CorruptAudio(
        f"{name} starts with {head[:8]!r}, as no known recording does; expected {AUDIO_FORMATS}. "
        "Convert it, or leave it out."
    )


def check_whole(data: bytes, container: Container, name: str) -> None:
    """Raises CorruptAudio where the container says that the recording goes on after `data` ends.

    A WAV whose header gives no length (`data` of 0 bytes in a RIFF of 0 or 0xFFFFFFFF, or
    0xFFFFFFFF, as pipes leave it), a WebM of unknown size, as browsers record it, and an MP3
    or AAC without a header end where their bytes end. FLAC is checked while it is decoded.
    """
    match container:
        case Container.WAV:
            _check_chunk(data, wav_data(data), name)
        case Container.AIFF:
            sound = ((at, size) for kind, at, size in _chunks(data, "big") if kind == b"SSND")
            _check_chunk(data, next(sound, None), name)
        case Container.OGG:
            _check_ogg(data, name)
        case Container.MP4:
            _check_mp4(data, name)
        case Container.WEBM:
            _check_webm(data, name)
        case Container.MP3:
            _check_mp3(data, name)
        case Container.AAC:
            if adts_end(data) > len(data):
                raise _broken(name, f"{len(data)} bytes, within a frame")


def wav_data(data: bytes) -> tuple[int, int] | None:
    """(start, promised size) of the `data` chunk in bytes; None without one.

    Size 0 in a RIFF that does not know its own size, and the sizes that pipes leave, become
    the rest of the file.
    """
    order: Literal["big", "little"] = "big" if data[:4] == b"RIFX" else "little"
    riff = int.from_bytes(data[4:8], order)
    size64 = None
    for kind, at, size in _chunks(data, order):
        if kind == b"ds64":
            size64 = int.from_bytes(data[at + 8 : at + 16], "little")
        if kind == b"data":
            if data[:4] == b"RF64" and size == 0xFFFFFFFF and size64:
                size = size64
            elif size in ENDLESS or (size == 0 and riff in (0, 0xFFFFFFFF)):
                size = len(data) - at
            return at, size
    return None


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, size) of each chunk of a RIFF, RF64 or FORM."""
    unpack = struct.Struct(">4sI" if order == "big" else "<4sI").unpack_from
    at = 12
    while at + 8 <= len(data):
        kind, size = unpack(data, at)
        yield kind, at + 8, size
        at += 8 + size + size % 2


def _check_chunk(data: bytes, chunk: tuple[int, int] | None, name: str) -> None:
    if chunk is not None and chunk[0] + chunk[1] > len(data):
        start, size = chunk
        raise _broken(name, f"{len(data) - start} of {size} bytes of sound")


def _check_ogg(data: bytes, name: str) -> None:
    """Every page must be whole, and the last one flagged as the end of its stream."""
    at, flags = 0, 0
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        flags, segments = data[at + 5], data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
        if at > len(data):
            flags = 0
    if not flags & 4:
        raise _broken(name, f"{min(at, len(data))} bytes: its last page is not marked as the end")


def _check_mp3(data: bytes, name: str) -> None:
    """The frames that a Xing, Info or VBRI header promises must be there, and the last be whole."""
    found = census(data)
    promised = found.frames if found.promised is None else found.promised
    here, said = found.seconds(found.frames), found.seconds(promised)
    if found.frames < promised - SLACK_FRAMES or found.cut:
        raise _broken(name, f"{here:.2f} s" + (f" of {said:.2f} s" if said > here else ""))
    if found.frames > promised + SLACK_FRAMES:
        raise CorruptAudio(
            f"{name} goes on for {here:.2f} s, but says that it lasts {said:.2f} s. "
            "Export it again, or leave it out."
        )


def _check_mp4(data: bytes, name: str) -> None:
    """Top-level boxes must be whole, and the samples that tracks list must fit into the file.

    The second keeps FFmpeg from building an index of samples that cannot be there.
    """
    listed = 0
    for kind, start, end in _boxes(data, 0, len(data)):
        if end > len(data) and kind in (b"moov", b"mdat", b"moof"):
            what = f"{kind.decode()} box"
            raise _broken(name, f"{len(data) - start} of {end - start} bytes of its {what}")
        if kind == b"moov" and data[start + 4 : start + 8] == b"cmov":
            # Unpacked, it may be a thousand times as large; no recorder has written one for ages.
            raise CorruptAudio(f"{name} has a compressed header. Convert it to FLAC.")
        if kind == b"moov":
            listed += sum(_listed(data, start, end, (b"trak", b"mdia", b"minf", b"stbl")))
    if listed > len(data):
        raise _broken(name, f"{len(data)} bytes, but lists {listed} bytes of samples")


def _listed(data: bytes, at: int, end: int, path: tuple[bytes, ...]) -> Iterator[int]:
    """Bytes of samples that each track under `path` lists."""
    boxes = [(kind, start, min(stop, end)) for kind, start, stop in _boxes(data, at, end)]
    if path:
        for kind, start, stop in boxes:
            if kind == path[0]:
                yield from _listed(data, start, stop, path[1:])
        return
    tables = {kind: data[start:stop] for kind, start, stop in boxes if kind in (b"stsz", b"stts")}
    table = tables.get(b"stsz", b"")
    if len(table) < 12:
        return
    size, count = struct.unpack_from(">II", table, 4)
    if size == 0:
        sizes = np.frombuffer(table, ">u4", min(count, (len(table) - 12) // 4), 12)
        yield int(sizes.sum(dtype=np.uint64))
    else:
        # PCM lists each instant as a sample, which FFmpeg indexes in chunks; other samples one
        # by one, and none is shorter than 4 bytes.
        times = tables.get(b"stts", b"")
        is_pcm = times[4:8] == b"\0\0\0\1" and times[12:16] == b"\0\0\0\1"
        yield count * (size if is_pcm else max(size, 4))


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the contents of each box from `at` to `end`."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1 and at + 16 <= end:
            size, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if size == 0:
            size = end - at
        if size < header:
            return
        yield kind, at + header, at + size
        at += size


def _check_webm(data: bytes, name: str) -> None:
    """Every element must be whole; segments and clusters may be of unknown size, as live ones."""
    at = 0
    while at < len(data):
        kind, at = _ebml_number(data, at, keep_marker=True)
        size, at = _ebml_number(data, at)
        if size is not None and at + size > len(data):
            raise _broken(name, f"{len(data) - at} of {size} bytes of an element")
        if kind in (EBML_SEGMENT, EBML_CLUSTER):
            continue
        if kind is None or size is None:
            raise _broken(name, f"{len(data)} bytes, within an element")
        at += size


def _ebml_number(data: bytes, at: int, *, keep_marker: bool = False) -> tuple[int | None, int]:
    """A number of 1 to 8 bytes at `at`, and where it ends; None if cut, or all ones: unknown."""
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > 8 or at + length > len(data):
        return None, len(data)
    number = int.from_bytes(data[at : at + length], "big")
    marker = 1 << 7 * length
    if keep_marker:
        return number, at + length
    return (None if number == 2 * marker - 1 else number - marker), at + length


def _broken(name: str, where: str) -> CorruptAudio:
    return CorruptAudio(f"{name} breaks off after {where}. Fetch it again, or leave it out.")
