"""Which container a recording is, from its first bytes.

Suffixes and declared types are not asked: what a decoder is handed is decided here.
"""

from __future__ import annotations

from enum import StrEnum

from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import CorruptAudio
from ser.io.audio.mpeg import after_tags, is_adts, is_mpeg
from ser.io.audio.source import Bytes
from ser.io.audio.structure import another


class Container(StrEnum):
    WAV = "WAV"
    FLAC = "FLAC"
    MP3 = "MP3"
    OGG = "Ogg"
    AIFF = "AIFF"
    MP4 = "MP4"
    AAC = "AAC"
    WEBM = "WebM"


#: Bytes behind a recording in which another one is sought.
MOST_BEHIND = 2**16


def sniff(data: Bytes) -> Container:
    """The container that `data` begins as; CorruptAudio, naming the bytes found, for any other."""
    start = after_tags(data)
    head = data[start : start + 12]
    match head[:4], head[8:12]:
        case (b"RIFF" | b"RF64" | b"BW64" | b"RIFX", b"WAVE"):
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
        f"starts with {head[:8]!r}, as no known recording does",
        AUDIO_FORMATS,
        "Convert it, or leave it out.",
    )


def check_end(data: Bytes, end: int) -> None:
    """Raises CorruptAudio where another recording begins at `end`, tags and zeros passed over."""
    try:
        behind = sniff(data[end : end + MOST_BEHIND])
    except CorruptAudio:
        return
    raise another(f"{behind} behind the first, which ends at byte {end}")
