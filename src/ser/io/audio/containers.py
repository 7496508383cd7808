"""Which container a recording is, from its first bytes, and whether all of it is there.

Suffixes and declared types are not asked: what a decoder is handed is decided here. Decoders
are lenient with recordings that break off; the checks here are not.
"""

from __future__ import annotations

from enum import StrEnum

from ser.core.utterance.formats import AUDIO_FORMATS
from ser.errors import CorruptAudio
from ser.io.audio.limits import Limits
from ser.io.audio.mpeg import adts_end, census, is_adts, is_mpeg, tag_end
from ser.io.audio.riff import find_sound
from ser.io.audio.source import Bytes
from ser.io.audio.structure import another, broken, check_mp4, check_webm, ogg_end


class Container(StrEnum):
    WAV = "WAV"
    FLAC = "FLAC"
    MP3 = "MP3"
    OGG = "Ogg"
    AIFF = "AIFF"
    MP4 = "MP4"
    AAC = "AAC"
    WEBM = "WebM"


#: Encoders differ on whether the header frame, or one at the end, counts.
SLACK_FRAMES = 2
#: Bytes behind a recording that tell whether another one follows.
MOST_BEHIND = 2**16


def sniff(data: Bytes, name: str = "audio") -> Container:
    """The container that `data` begins as; CorruptAudio, naming the bytes found, for any other."""
    start = tag_end(data)
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
        f"{name} starts with {head[:8]!r}, as no known recording does; expected {AUDIO_FORMATS}. "
        "Convert it, or leave it out."
    )


def check_whole(data: Bytes, container: Container, name: str, limits: Limits) -> None:
    """Raises CorruptAudio where the container says that the recording goes on after `data` ends,
    or where another recording stands behind it; TooLongAudio where its frames pass `limits`.

    A WAV whose header gives no length, a WebM of unknown size, as browsers record it, and an MP3
    or AAC without a header end where their bytes end. FLAC is checked while it is decoded.
    """
    match container:
        case Container.WAV | Container.AIFF:
            find_sound(data, name)
        case Container.OGG:
            _check_end(data, ogg_end(data, name), name)
        case Container.MP4:
            check_mp4(data, name)
        case Container.WEBM:
            check_webm(data, name)
        case Container.MP3:
            _check_mp3(data, name, limits)
        case Container.AAC:
            _check_adts(data, name, limits)


def _check_end(data: Bytes, end: int, name: str) -> None:
    """Raises CorruptAudio where another recording begins at `end`, tags and zeros passed over."""
    try:
        behind = sniff(data[end : end + MOST_BEHIND])
    except CorruptAudio:
        return
    raise another(name, f"{behind} behind the first, which ends at byte {end}")


def _check_mp3(data: Bytes, name: str, limits: Limits) -> None:
    """The frames that a Xing, Info or VBRI header promises must be there, and the last be whole."""
    found = census(data, max_seconds=limits.max_seconds)
    if found.seconds(found.frames) > limits.max_seconds:
        raise limits.goes_on(name)
    at = found.seconds(found.frames)
    if found.another:
        raise another(name, f"behind the first, which ends after {at:.2f} s")
    if found.damaged is not None:
        raise CorruptAudio(
            f"{name} is damaged after {at:.2f} s: at byte {found.damaged} there is no frame, but "
            "more follow. Fetch it again, or leave it out."
        )
    promised = found.frames if found.promised is None else found.promised
    here, said = found.seconds(found.frames), found.seconds(promised)
    if found.frames < promised - SLACK_FRAMES or found.cut:
        raise broken(name, f"{here:.2f} s" + (f" of {said:.2f} s" if said > here else ""))
    if found.frames > promised + SLACK_FRAMES:
        raise CorruptAudio(
            f"{name} goes on for {here:.2f} s, but says that it lasts {said:.2f} s. "
            "Export it again, or leave it out."
        )


def _check_adts(data: Bytes, name: str, limits: Limits) -> None:
    end, seconds = adts_end(data, max_seconds=limits.max_seconds)
    if seconds > limits.max_seconds:
        raise limits.goes_on(name)
    if end > len(data):
        raise broken(name, f"{len(data)} bytes, within a frame")
    _check_end(data, end, name)
