"""Where the samples of a WAV or AIFF stand, by what is there where its header is wrong.

A recorder that is stopped, crashes or writes into a pipe leaves sizes that are placeholders.
Samples then go on to the end of the file, or to the metadata behind them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ser.errors import CorruptAudio
from ser.io.audio.mpeg import tag_end
from ser.io.audio.source import Bytes
from ser.io.audio.structure import another

Order = Literal["big", "little"]

FORMS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
#: Sizes this close to 2 or 4 GiB are the largest that a recorder could write, less its header.
SLACK = 2**16
#: SoX's size of an AIFF into a pipe.
SOX_AIFF = 0x7F000008
#: A file has few chunks; one that has more was made to keep readers busy.
MOST_CHUNKS = 4096
#: Where metadata behind samples of unknown size are sought, and the most zeros that pad a file.
TAIL, PADDING = 2**22, 2**20
#: What stands behind samples.
METADATA = (
    *(b"LIST", b"bext", b"id3 ", b"ID3 ", b"iXML", b"axml", b"aXML", b"_PMX", b"JUNK", b"junk"),
    *(b"FLLR", b"PAD ", b"fact", b"PEAK", b"cue ", b"smpl", b"inst", b"plst", b"acid", b"DISP"),
    *(b"afsp", b"cart", b"umid", b"chna", b"levl", b"strc", b"minf", b"elm1", b"regn", b"link"),
    *(b"COMM", b"FVER", b"MARK", b"INST", b"NAME", b"AUTH", b"(c) ", b"ANNO", b"APPL", b"AESD"),
    *(b"COMT", b"CHAN", b"MIDI", b"ResU", b"olym", b"SAUR", b"note", b"labl", b"tlst", b"CSET"),
)
COMMON = METADATA[:4]
KNOWN = (*METADATA, b"fmt ", b"data", b"SSND")
#: Tags that are no chunks, and end a file.
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")


@dataclass(frozen=True)
class Sound:
    """What libsndfile reads: `header`, where the file's own is wrong, then data[start:stop]."""

    start: int
    stop: int
    header: bytes = b""


def find_sound(data: Bytes, name: str) -> Sound | None:
    """The samples of a WAV or AIFF; None where no chunk holds any.

    Raises CorruptAudio where samples are missing, or more follow than the header says.
    """
    base = tag_end(data)
    order: Order = "big" if data[base : base + 4] in (b"RIFX", b"FORM") else "little"
    before: dict[bytes, bytes] = {}
    padded = base + 12
    for kind, at, size in _chunks(data, order, base + 12):
        if kind in (b"data", b"SSND"):
            # libsndfile does not find its way past an odd chunk that is not padded.
            own = at == padded + 8 and data[base : base + 4] != b"BW64"
            return _sound(data, base, at, size, before, order=order, own=own, name=name)
        before.setdefault(kind, data[at : at + min(size, 2**12)])
        padded += 8 + size + size % 2
    return None


def _sound(
    data: Bytes,
    base: int,
    at: int,
    size: int,
    before: dict[bytes, bytes],
    *,
    order: Order,
    own: bool,
    name: str,
) -> Sound:
    """base, at, size : where the header begins, and the samples, and how many bytes it states.

    own : libsndfile may read the file's own header, if it is right.
    """
    form, rest = data[base : base + 4], len(data) - at
    stated: int | None = size
    whole = base + 8 + int.from_bytes(data[base + 4 : base + 8], order)
    if form in (b"RF64", b"BW64") and size == 0xFFFFFFFF and b"ds64" in before:
        whole = base + 8 + int.from_bytes(before[b"ds64"][:8], "little")
        size = stated = int.from_bytes(before[b"ds64"][8:16], "little")
    # AIFF counts two numbers that stand before the samples.
    empty = 8 if form == b"FORM" else 0
    if _is_placeholder(size):
        stated = None
    elif size > rest:
        doubt = ", or has a wrong header: its outer size fits" if whole == len(data) else ""
        raise CorruptAudio(
            f"{name} breaks off after {rest} of {size} bytes of sound{doubt}. Fetch it again, or "
            "leave it out."
        )
    elif data.startswith(FORMS, at + size) or data.startswith(FORMS, at + size + 1):
        raise another(name, f"behind the first, which ends at byte {at + size}")
    elif size < rest and not _is_tail(data, at + size, order, cut=size > empty):
        # What the outer size counts, and is no metadata, is sound.
        if size > empty and whole != len(data):
            raise CorruptAudio(
                f"{name} has a wrong header: it says {size} bytes of sound, but {rest} follow"
                f"{_seconds(rest, before, order)}, and what is behind the first {size} is no "
                "metadata. Export it again, or leave it out."
            )
        stated = None
    stop = at + size
    if stated is None or size == rest:
        stop = _metadata_start(data, at, order, kinds=METADATA if stated is None else COMMON)
    if own and stop == at + size and stated is not None:
        return Sound(base, len(data))
    for kind, start, length in _chunks(data, order, stop):
        before.setdefault(kind, data[start : start + min(length, 2**12)])
    return Sound(at, stop, _header(data[base : base + 12], stop - at, before, order))


def _is_placeholder(size: int) -> bool:
    near = any(abs(size - 2**bits) <= SLACK for bits in (31, 32, 63, 64))
    return near or size == SOX_AIFF


def _chunks(data: Bytes, order: Order, at: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, size) of each chunk from `at` on."""
    unpack = struct.Struct(">4sI" if order == "big" else "<4sI").unpack
    for _ in range(MOST_CHUNKS):
        head = data[at : at + 8]
        if len(head) < 8:
            return
        kind, size = unpack(head)
        yield kind, at + 8, size
        at += 8 + size
        # Some writers leave out the byte that makes a size even.
        if size % 2 and data[at : at + 4] not in KNOWN:
            at += 1


def _is_name(kind: bytes) -> bool:
    return len(kind) == 4 and all(0x20 <= letter < 0x7F for letter in kind)


def _is_tail(data: Bytes, at: int, order: Order, *, cut: bool) -> bool:
    """Are there only chunks, tags or padding from `at` on, so that no sample is left out?"""
    return any(_are_chunks(data, start, order, cut=cut) for start in (at, at + 1))


def _are_chunks(data: Bytes, at: int, order: Order, *, cut: bool = False) -> bool:
    """cut : the last one may break off, if it is metadata, or padding may follow."""
    end = at
    for kind, start, size in _chunks(data, order, at):
        end = start - 8
        if not _is_name(kind):
            break
        if start + size > len(data):
            return cut and kind in METADATA
        end = start + size
    left = len(data) - end
    if left <= 1 or not cut:
        return left <= 1
    return (
        left < 8
        or data.startswith(TAGS, end)
        or (left <= PADDING and not data[end : len(data)].strip(b"\0"))
    )


def _metadata_start(data: Bytes, at: int, order: Order, *, kinds: tuple[bytes, ...]) -> int:
    """Where the chunks begin that end the file; its end where there are none."""
    first = max(at, len(data) - (TAIL if kinds is METADATA else TAIL // 64))
    tail, found = data[first : len(data)], len(data)
    for kind in kinds:
        start = tail.find(kind)
        while 0 <= start < found - first:
            if _are_chunks(data, first + start, order):
                found = first + start
                break
            start = tail.find(kind, start + 1)
    return found


def _header(form: bytes, size: int, chunks: dict[bytes, bytes], order: Order) -> bytes:
    """What makes libsndfile read `size` bytes of samples; form : the file's first 12 bytes."""
    unsigned = ">I" if order == "big" else "<I"

    def chunk(kind: bytes, content: bytes) -> bytes:
        pad = bytes(len(content) % 2)
        return kind + struct.pack(unsigned, len(content)) + content + pad

    about, sound = (b"COMM", b"SSND") if form[:4] == b"FORM" else (b"fmt ", b"data")
    inner = form[8:12] + chunk(about, chunks.get(about, b"")) + sound
    size = min(size, 2**31)
    whole = len(inner) + 4 + size
    return (
        (form[:4] if order == "big" else b"RIFF")
        + struct.pack(unsigned, whole)
        + inner
        + struct.pack(unsigned, size)
    )


def _seconds(size: int, chunks: dict[bytes, bytes], order: Order) -> str:
    rate = int.from_bytes(chunks.get(b"fmt ", b"")[8:12], order)
    return f" ({size / rate:.2f} s)" if rate else ""
