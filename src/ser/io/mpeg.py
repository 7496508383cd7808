"""MPEG audio (MP3) and ADTS (AAC): frame after frame, without a container around them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: kbit/s by index 1 to 14; by (MPEG-1?, layer), layers II and III of MPEG-2 alike.
BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
#: Hz, by the two bits that name the version: MPEG-2.5, none, MPEG-2, MPEG-1.
RATES = (11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000)
#: What may stand behind the last frame.
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


@dataclass(frozen=True)
class Frame:
    """One frame of MPEG audio; `at` and `size` in bytes."""

    at: int
    size: int
    n_samples: int
    sr: int
    layer: int
    #: Bytes from the frame's start to where an encoder writes Xing or Info.
    side_end: int


@dataclass(frozen=True)
class Census:
    """What an MP3 holds, frame by frame, and what its header frame (if any) promises."""

    first: Frame
    frames: int
    cut: bool
    header: str | None
    promised: int | None

    def seconds(self, frames: int) -> float:
        return frames * self.first.n_samples / self.first.sr


def tag_end(data: bytes) -> int:
    """Where the ID3v2 tags at the start of `data`, and the zeros behind them, end."""
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        a, b, c, d = data[at + 6 : at + 10]
        footer = 10 if data[at + 5] & 0x10 else 0
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
    if at:
        behind = data[at : at + 2**16]
        at += len(behind) - len(behind.lstrip(b"\0"))
    return at


def is_mpeg(data: bytes, at: int) -> bool:
    """Is there a frame of MPEG audio at `at`, and behind it another one, a tag or the end?"""
    frame = _frame(data, at)
    if frame is None:
        return False
    end = at + frame.size
    return end == len(data) or data.startswith(TAGS, end) or _frame(data, end) is not None


def is_adts(data: bytes, at: int) -> bool:
    """Is there an ADTS frame at `at`, and behind it another one, a tag or the end?"""
    size = _adts_size(data, at)
    end = at + size
    return size > 0 and (
        end == len(data) or data.startswith(TAGS, end) or _adts_size(data, end) > 0
    )


def adts_end(data: bytes) -> int:
    """Where the last frame of an ADTS stream ends; past the end of `data` if that is cut."""
    at = tag_end(data)
    while size := _adts_size(data, at):
        at += size
    return at


def census(data: bytes) -> Census:
    """Counts the whole frames of an MP3 (one that `is_mpeg`), its header frame left out."""
    first = _frame(data, tag_end(data))
    if first is None:
        raise ValueError("no frame of MPEG audio at the start")
    frames, end = 0, first.at
    for frame in _frames(data, first):
        frames, end = frames + 1, frame.at + frame.size
    cut = end > len(data)
    header, promised = _promise(data, first)
    return Census(first, frames - cut - bool(header), cut, header, promised)


def with_length(data: bytes, found: Census) -> bytes:
    """The MP3 without tags before it, and with a header frame that says how long it is.

    libmpg123 guesses the length of a stream without one from the size of its first frames;
    libsndfile stops there, and loses most of a recording of variable bit rate.
    """
    first = found.first
    if found.header == "Xing" or first.layer != 3:
        return data[first.at :]
    sound = first.at + (first.size if found.header else 0)
    # 80 or 128 kbit/s: a frame with room for the 12 bytes that follow the side information.
    head = bytes([0xFF, data[first.at + 1] | 1, 0x90 | data[first.at + 2] & 0x0C])
    head += data[first.at + 3 : first.at + 4]
    room = _frame(head, 0)
    size = room.size if room else 0
    frame = head.ljust(first.side_end, b"\0") + struct.pack(">4sII", b"Xing", 1, found.frames)
    return frame.ljust(size, b"\0") + data[sound:]


def _frames(data: bytes, first: Frame) -> Iterator[Frame]:
    """The frames from `first` on, over damaged bytes, to a tag or the end."""
    kind, at, sought = data[first.at : first.at + 2], first.at, False
    while 0 <= at < len(data) and not data.startswith(TAGS, at):
        frame = _frame(data, at)
        fits = frame is not None and (frame.sr, frame.layer) == (first.sr, first.layer)
        if frame is None or not fits or (sought and not is_mpeg(data, at)):
            at, sought = data.find(kind, at + 1), True
            continue
        yield frame
        at, sought = at + frame.size, False


def _frame(data: bytes, at: int) -> Frame | None:
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    rate, bitrate = data[at + 2] >> 2 & 3, data[at + 2] >> 4
    if version == 1 or layer == 4 or rate == 3 or bitrate in (0, 15):
        return None
    new, sr = version == 3, RATES[version][rate]
    bits = BITRATES[new, layer][bitrate - 1] * 1000
    padding = data[at + 2] >> 1 & 1
    n_samples = 384 if layer == 1 else 1152 if new or layer == 2 else 576
    unit = 4 if layer == 1 else 1
    size = (n_samples // 8 // unit * bits // sr + padding) * unit
    is_mono = data[at + 3] >> 6 == 3
    side = (17 if is_mono else 32) if new else (9 if is_mono else 17)
    return Frame(at, size, n_samples, sr, layer, 4 + side)


def _promise(data: bytes, first: Frame) -> tuple[str | None, int | None]:
    """(kind of the header frame, the number of frames it promises)."""
    at = first.at + first.side_end
    if data[at : at + 4] in (b"Xing", b"Info") and at + 12 <= len(data):
        flags, frames = struct.unpack_from(">II", data, at + 4)
        return "Xing", frames if flags & 1 else None
    at = first.at + 36
    if data[at : at + 4] == b"VBRI" and at + 18 <= len(data):
        return "VBRI", struct.unpack_from(">I", data, at + 14)[0]
    return None, None


def _adts_size(data: bytes, at: int) -> int:
    """Bytes of the ADTS frame at `at`; 0 where there is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size >= 7 else 0
