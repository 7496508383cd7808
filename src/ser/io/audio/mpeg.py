"""MPEG audio (MP3) and ADTS (AAC): frame after frame, without a container around them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ser.io.audio.source import Bytes

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
#: Hz of ADTS, by index.
ADTS_RATES = (96, 88.2, 64, 48, 44.1, 32, 24, 22.05, 16, 12, 11.025, 8, 7.35)
#: Tags in a row, bytes and likely frames behind a damage that are looked at, at most.
MOST_TAGS, SOUGHT, CANDIDATES = 64, 2**20, 256
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
    """What an MP3 holds, frame by frame, and what its header frame (if any) promises.

    another : a second MP3 stands behind it. damaged : the byte from which on there is no frame,
    though more follow. Frames are counted up to either.
    """

    first: Frame
    frames: int
    cut: bool
    header: str | None
    promised: int | None
    another: bool
    damaged: int | None

    def seconds(self, frames: int) -> float:
        return frames * self.first.n_samples / self.first.sr


def tag_end(data: Bytes) -> int:
    """Where the ID3v2 tags at the start of `data`, and the zeros behind them, end."""
    at = _after_id3(data, 0)
    return _after_zeros(data, at) if at else 0


def _after_id3(data: Bytes, at: int) -> int:
    for _ in range(MOST_TAGS):
        head = data[at : at + 10]
        if len(head) < 10 or head[:3] != b"ID3":
            break
        a, b, c, d = head[6:10]
        footer = 10 if head[5] & 0x10 else 0
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
    return at


def _after_zeros(data: Bytes, at: int) -> int:
    behind = data[at : at + 2**16]
    return at + len(behind) - len(behind.lstrip(b"\0"))


def is_mpeg(data: Bytes, at: int) -> bool:
    """Is there a frame of MPEG audio at `at`, and behind it another one, a tag or the end?"""
    frame = _frame(data, at)
    if frame is None:
        return False
    end = at + frame.size
    return end == len(data) or data.startswith(TAGS, end) or _frame(data, end) is not None


def is_adts(data: Bytes, at: int) -> bool:
    """Is there an ADTS frame at `at`, and behind it another one, a tag or the end?"""
    size = _adts_size(data, at)
    end = at + size
    return size > 0 and (
        end == len(data) or data.startswith(TAGS, end) or _adts_size(data, end) > 0
    )


def adts_end(data: Bytes, *, max_seconds: float) -> tuple[int, float]:
    """(end in bytes, seconds) of an ADTS stream, counted until it lasts more than `max_seconds`.

    The end lies behind that of `data` if the last frame is cut.
    """
    at, seconds = tag_end(data), 0.0
    while (size := _adts_size(data, at)) and seconds <= max_seconds:
        rate = data[at + 2] >> 2 & 15
        if rate >= len(ADTS_RATES):
            break
        seconds += 1.024 * ((data[at + 6] & 3) + 1) / ADTS_RATES[rate]
        at += size
    return at, seconds


def census(data: Bytes, *, max_seconds: float) -> Census:
    """Counts the whole frames of an MP3 (one that `is_mpeg`), its header frame left out.

    It stops when they last more than `max_seconds`.
    """
    first = _frame(data, tag_end(data))
    if first is None:
        raise ValueError("no frame of MPEG audio at the start")
    header, promised = _promise(data, first)
    most = max_seconds * first.sr / first.n_samples + 2
    frames, at, another, damaged = 0, first.at, False, None
    while frames <= most:
        frame = _frame(data, at)
        if frame is None or (frame.sr, frame.layer) != (first.sr, first.layer):
            behind = after_tags(data, at)
            another = is_mpeg(data, behind)
            if not another and behind == at and _goes_on(data, first, at):
                damaged = at
            break
        if frames and _promise(data, frame)[0]:
            another = True
            break
        frames, at = frames + 1, at + frame.size
    cut = at > len(data)
    return Census(first, frames - cut - bool(header), cut, header, promised, another, damaged)


def with_length(data: Bytes, found: Census) -> tuple[bytes, int]:
    """(header, start): data[start:] behind the header is the MP3, which says how long it is.

    libmpg123 guesses the length of a stream without a header frame from the size of its first
    frames; libsndfile stops there, and loses most of a recording of variable bit rate.
    """
    first = found.first
    if found.header == "Xing" or first.layer != 3:
        return b"", first.at
    sound = first.at + (first.size if found.header else 0)
    # 80 or 128 kbit/s: a frame with room for the 12 bytes that follow the side information.
    head = bytes([0xFF, data[first.at + 1] | 1, 0x90 | data[first.at + 2] & 0x0C])
    head += data[first.at + 3 : first.at + 4]
    room = _frame(head, 0)
    size = room.size if room else 0
    frame = head.ljust(first.side_end, b"\0") + struct.pack(">4sII", b"Xing", 1, found.frames)
    return frame.ljust(size, b"\0"), sound


def after_tags(data: Bytes, at: int) -> int:
    """Where the tags that stand at `at`, and zeros behind them, end; `at` where there are none."""
    start = at
    for _ in range(MOST_TAGS):
        if data.startswith(b"TAG", at):
            at += 128
        elif data.startswith(b"APETAGEX", at):
            has_header = data[at + 23 : at + 24] >= b"\x80"
            at += 32 + (int.from_bytes(data[at + 12 : at + 16], "little") if has_header else 0)
        elif data.startswith(b"LYRICSBEGIN", at):
            end = max(data.find(mark, at, at + SOUGHT) for mark in (b"LYRICS200", b"LYRICSEND"))
            at = max(end + 9, at + 11)
        elif data.startswith(b"ID3", at):
            at = max(_after_id3(data, at), at + 10)
        else:
            break
    return _after_zeros(data, at) if at > start else at


def _goes_on(data: Bytes, first: Frame, at: int) -> bool:
    """Do frames like `first` follow somewhere behind `at`, or more than is looked at?"""
    kind, stop = data[first.at : first.at + 2], at + SOUGHT
    for _ in range(CANDIDATES):
        at = data.find(kind, at + 1, stop)
        if at < 0:
            return len(data) > stop
        frame = _frame(data, at)
        if frame and (frame.sr, frame.layer) == (first.sr, first.layer) and is_mpeg(data, at):
            return True
    return True


def _frame(data: Bytes, at: int) -> Frame | None:
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, bitrate = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate == 3 or bitrate in (0, 15):
        return None
    new, sr = version == 3, RATES[version][rate]
    bits = BITRATES[new, layer][bitrate - 1] * 1000
    padding = head[2] >> 1 & 1
    n_samples = 384 if layer == 1 else 1152 if new or layer == 2 else 576
    unit = 4 if layer == 1 else 1
    size = (n_samples // 8 // unit * bits // sr + padding) * unit
    is_mono = head[3] >> 6 == 3
    side = (17 if is_mono else 32) if new else (9 if is_mono else 17)
    return Frame(at, size, n_samples, sr, layer, 4 + side)


def _promise(data: Bytes, first: Frame) -> tuple[str | None, int | None]:
    """(kind of the header frame, the number of frames it promises)."""
    at = first.at + first.side_end
    if data[at : at + 4] in (b"Xing", b"Info") and at + 12 <= len(data):
        flags, frames = struct.unpack(">II", data[at + 4 : at + 12])
        return "Xing", frames if flags & 1 else None
    at = first.at + 36
    if data[at : at + 4] == b"VBRI" and at + 18 <= len(data):
        return "VBRI", int.from_bytes(data[at + 14 : at + 18], "big")
    return None, None


def _adts_size(data: Bytes, at: int) -> int:
    """Bytes of the ADTS frame at `at`; 0 where there is none."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size >= 7 else 0
