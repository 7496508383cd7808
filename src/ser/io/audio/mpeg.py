"""MPEG audio (MP3) and ADTS (AAC): frame after frame, without a container around them."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ser.io.audio.limits import Limits
from ser.io.audio.source import Bytes, View
from ser.io.audio.structure import another, broken, damaged, longer

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
#: kHz of ADTS, by index.
ADTS_RATES = (96, 88.2, 64, 48, 44.1, 32, 24, 22.05, 16, 12, 11.025, 8, 7.35)
#: Limits of a search: tags in a row; behind a damage, bytes and likely frames.
MOST_TAGS, SOUGHT, CANDIDATES = 64, 2**20, 256
#: How tags begin, that stand before the first frame or behind the last one.
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")
#: Encoders differ on whether the header frame, or one at the end, counts.
SLACK_FRAMES = 2


class Frame(NamedTuple):
    """One frame of MPEG audio; `at` and `size` in bytes."""

    at: int
    size: int
    n_samples: int
    sr: int
    layer: int
    #: Bytes from the frame's start to where an encoder writes Xing or Info.
    side_end: int

    def is_like(self, other: Frame) -> bool:
        return (self.sr, self.layer) == (other.sr, other.layer)


def after_tags(data: Bytes, at: int = 0) -> int:
    """Where the tags that stand at `at`, and zeros behind them, end; `at` where there are none."""
    start = at
    for _ in range(MOST_TAGS):
        head = data[at : at + 32].ljust(32, b"\0")
        if head.startswith(b"ID3"):
            a, b, c, d = head[6:10]
            footer = 10 if head[5] & 0x10 else 0
            at += 10 + (a << 21 | b << 14 | c << 7 | d) + footer
        elif head.startswith(b"TAG"):
            at += 128
        elif head.startswith(b"APETAGEX"):
            has_header = head[23] >= 0x80
            at += 32 + (int.from_bytes(head[12:16], "little") if has_header else 0)
        elif head.startswith(b"LYRICSBEGIN"):
            end = max(data.find(mark, at, at + SOUGHT) for mark in (b"LYRICS200", b"LYRICSEND"))
            at = max(end + 9, at + 11)
        else:
            break
    if at == start:
        return at
    behind = data[at : at + 2**16]
    return at + len(behind) - len(behind.lstrip(b"\0"))


def is_mpeg(data: Bytes, at: int) -> bool:
    """Whether a frame of MPEG audio stands at `at`, and behind it another one, a tag or the end."""
    frame = _frame(data, at)
    if frame is None:
        return False
    end = at + frame.size
    return end == len(data) or data[end : end + 16].startswith(TAGS) or bool(_frame(data, end))


def is_adts(data: Bytes, at: int) -> bool:
    """Whether an ADTS frame stands at `at`, and behind it another one, a tag or the end."""
    size = _adts_size(data, at)
    end = at + size
    return size > 0 and (
        end == len(data) or data[end : end + 16].startswith(TAGS) or _adts_size(data, end) > 0
    )


def adts_end(data: Bytes, limits: Limits) -> int:
    """Where the last frame of an ADTS stream ends.

    Raises CorruptAudio where it is cut, TooLongAudio where the frames pass `limits`.
    """
    at, seconds = after_tags(data), 0.0
    while size := _adts_size(data, at):
        rate = data[at + 2] >> 2 & 15
        if rate >= len(ADTS_RATES):
            break
        seconds += 1.024 * ((data[at + 6] & 3) + 1) / ADTS_RATES[rate]
        if seconds > limits.max_seconds:
            raise limits.goes_on()
        at += size
    if at > len(data):
        raise broken(f"{len(data)} bytes, within a frame")
    return at


def whole_mp3(data: Bytes, limits: Limits) -> View:
    """An MP3 (one that `is_mpeg`) as libsndfile reads all of it.

    Raises CorruptAudio where frames are missing, by a Xing, Info or VBRI header or by a gap, or
    where another MP3 follows; TooLongAudio where the frames pass `limits`.
    """
    first = _frame(data, after_tags(data))
    assert first is not None
    header, promised = _promise(data, first)
    most = limits.max_seconds * first.sr / first.n_samples + 2
    frames, at, another_header = 0, first.at, False
    while frames <= most and (frame := _frame(data, at)) and frame.is_like(first):
        another_header = frames > 0 and _promise(data, frame)[0] is not None
        if another_header:
            break
        frames, at = frames + 1, at + frame.size
    is_cut = at > len(data)
    frames -= is_cut + bool(header)
    seconds = frames * first.n_samples / first.sr
    if seconds > limits.max_seconds:
        raise limits.goes_on()
    behind = after_tags(data, at)
    if another_header or is_mpeg(data, behind):
        raise another(f"behind the first, which ends after {seconds:.2f} s")
    if behind == at and _goes_on(data, first, at):
        where = f" after {seconds:.2f} s: at byte {at} there is no frame, but more follow"
        raise damaged(where)
    promised = frames if promised is None else promised
    stated = promised * first.n_samples / first.sr
    if frames < promised - SLACK_FRAMES or is_cut:
        raise broken(f"{seconds:.2f} s" + (f" of {stated:.2f} s" if stated > seconds else ""))
    if frames > promised + SLACK_FRAMES:
        raise longer(seconds, stated=stated)
    if header == "Xing" or first.layer != 3:
        return View(data, start=first.at)
    sound = first.at + (first.size if header else 0)
    return View(data, start=sound, head=_xing_frame(data, first, frames))


def _xing_frame(data: Bytes, first: Frame, frames: int) -> bytes:
    """A header frame that states the number of frames.

    Without one, libmpg123 guesses it from the size of the first frames; libsndfile stops there,
    and loses most of a recording of variable bit rate.
    """
    # 80 or 128 kbit/s: a frame with room for the 12 bytes that follow the side information.
    head = bytes([0xFF, data[first.at + 1] | 1, 0x90 | data[first.at + 2] & 0x0C])
    head += data[first.at + 3 : first.at + 4]
    room = _frame(head, 0)
    header = head.ljust(first.side_end, b"\0") + struct.pack(">4sII", b"Xing", 1, frames)
    return header.ljust(room.size if room else 0, b"\0")


def _goes_on(data: Bytes, first: Frame, at: int) -> bool:
    """Whether frames like `first` follow behind `at`, or more bytes than are searched."""
    kind, stop = data[first.at : first.at + 2], at + SOUGHT
    for _ in range(CANDIDATES):
        at = data.find(kind, at + 1, stop)
        if at < 0:
            return len(data) > stop
        frame = _frame(data, at)
        if frame and frame.is_like(first) and is_mpeg(data, at):
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
