"""Where the samples of a WAV or AIFF stand, by what is there where its header is wrong.

A recorder that is stopped, crashes or writes into a pipe leaves sizes that are placeholders.
Samples then go on to the end of the file, or to the metadata behind them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

from ser.errors import CorruptAudio
from ser.io.audio.mpeg import TAGS, after_tags
from ser.io.audio.source import Bytes, View
from ser.io.audio.structure import another, broken

Order = Literal["big", "little"]

FORMS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
#: Sizes this close to 2 or 4 GiB are the largest that a recorder could write, less its header.
SLACK = 2**16
#: SoX's size of an AIFF into a pipe.
SOX_AIFF = 0x7F000008
#: The largest size that a header can state.
MOST_STATED = 2**32 - 1
#: A file has few chunks; one that has more was made to keep readers busy.
MOST_CHUNKS = 4096
#: Bytes of a chunk that are kept: those that describe the samples are short.
MOST_KEPT = 2**12
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


#: Format tags of samples that are no codec's: PCM, floats, and either in the extensible form.
PLAIN_TAGS = (0x0001, 0x0003, 0xFFFE)
#: Bytes in which the format of the samples is sought.
HEAD = 2**16


def holds_plain_samples(data: Bytes) -> bool:
    """Whether a WAV's samples are PCM or floats, by its format's tag: no codec has to be run."""
    at = data.find(b"fmt ", 12, HEAD)
    order: Order = "big" if data[:4] == b"RIFX" else "little"
    return at > 0 and int.from_bytes(data[at + 8 : at + 10], order) in PLAIN_TAGS


def whole_riff(data: Bytes) -> View:
    """A WAV or AIFF as libsndfile reads all of it, with another header where its own is wrong.

    Raises CorruptAudio where samples are missing, or more follow than the header states.
    """
    base = after_tags(data)
    form = data[base : base + 4]
    order: Order = "big" if form in (b"RIFX", b"FORM") else "little"
    chunks: dict[bytes, bytes] = {}
    padded = base + 12
    for kind, at, size in _chunks(data, order, base + 12):
        if kind in (b"data", b"SSND"):
            break
        chunks.setdefault(kind, data[at : at + min(size, MOST_KEPT)])
        padded += 8 + size + size % 2
    else:
        return View(data)
    outer = int.from_bytes(data[base + 4 : base + 8], order)
    if form in (b"RF64", b"BW64") and size == 0xFFFFFFFF and b"ds64" in chunks:
        outer, size = struct.unpack("<QQ", chunks[b"ds64"][:16].ljust(16, b"\0"))
    outer_fits = base + 8 + outer == len(data)
    end, rest = at + size, len(data) - at
    is_known = not _is_placeholder(size)
    if is_known and size > rest:
        doubt = ", or has a wrong header: its outer size fits" if outer_fits else ""
        raise broken(f"{rest} of {size} bytes of sound{doubt}")
    if is_known and any(data[start : start + 4] in FORMS for start in (end, end + 1)):
        raise another(f"behind the first, which ends at byte {end}")
    # AIFF counts two numbers that stand before the samples.
    has_samples = size > (8 if form == b"FORM" else 0)
    # Behind the samples, only chunks, tags or padding leave no sample out.
    if is_known and size < rest:
        is_known = any(_are_chunks(data, at, order, cut=has_samples) for at in (end, end + 1))
        # Whatever the outer size counts, and is no metadata, is sound.
        if not is_known and has_samples and not outer_fits:
            rate = int.from_bytes(chunks.get(b"fmt ", b"")[8:12], order)
            lasts = f" ({rest / rate:.2f} s)" if rate else ""
            raise CorruptAudio(
                f"has a wrong header: it states {size} bytes of sound, but {rest} follow{lasts}, "
                f"and what is behind the first {size} is no metadata",
                remedy="Export it again, or leave it out.",
            )
    stop = end
    if not is_known or size == rest:
        stop = _metadata_start(data, at, order, kinds=COMMON if is_known else METADATA)
    # libsndfile does not find its way past an odd chunk that is not padded.
    if is_known and stop == end and at == padded + 8 and form != b"BW64":
        return View(data, start=base)
    for kind, start, length in _chunks(data, order, stop):
        chunks.setdefault(kind, data[start : start + min(length, MOST_KEPT)])
    header = _header(data[base : base + 12], stop - at, chunks, order)
    return View(data, start=at, stop=stop, head=header)


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


def _are_chunks(data: Bytes, at: int, order: Order, *, cut: bool = False) -> bool:
    """Whether only chunks stand from `at` to the end.

    cut : the last one may break off, if it is metadata; tags or padding may follow.
    """
    end = at
    for kind, start, size in _chunks(data, order, at):
        end = start - 8
        if not all(0x20 <= letter < 0x7F for letter in kind):
            break
        if start + size > len(data):
            return cut and kind in METADATA
        end = start + size
    left = len(data) - end
    if left <= 1 or not cut:
        return left <= 1
    return (
        left < 8
        or data[end : end + 16].startswith(TAGS)
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
    pack = struct.Struct(">I" if order == "big" else "<I").pack
    about, sound = (b"COMM", b"SSND") if form[:4] == b"FORM" else (b"fmt ", b"data")
    content = chunks.get(about, b"")
    padding = bytes(len(content) % 2)
    inner = form[8:12] + about + pack(len(content)) + content + padding + sound
    outer = min(len(inner) + 4 + size, MOST_STATED)
    kind = form[:4] if order == "big" else b"RIFF"
    return kind + pack(outer) + inner + pack(min(size, MOST_STATED))
