"""Whether an Ogg, MP4 or WebM is whole, and only one: by its pages, boxes and elements."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from ser.errors import CorruptAudio
from ser.io.audio.source import Bytes

EBML_HEADER, EBML_SEGMENT, EBML_CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
#: Pages, boxes or elements of one recording: four hours have fewer. More keep readers busy.
MOST_PARTS = 100_000
FETCH_AGAIN = "Fetch it again, or leave it out."
#: The header of an Ogg page, and FLAC's magic in the first page.
OGG_PAGE, OGG_FLAC = struct.Struct("<4sBBqIII"), b"\x7fFLAC"


def ogg_end(data: Bytes) -> int:
    """Where the last page ends; CorruptAudio unless it is marked as the end and none is missing."""
    flags, at, begun = 0, 0, False
    #: Stream -> number of its last page, and whether that one held samples.
    last: dict[int, tuple[int, bool]] = {}
    for start, flags, granule, stream, number, end in _ogg_pages(data):
        at = end
        if flags & 2 and begun:
            raise another("behind the first (a chained Ogg)")
        begun = begun or not flags & 2
        before, had_samples = last.get(stream, (number - 1, False))
        if number != before + 1 and had_samples:
            missing = number - before - 1
            raise damaged(f": {missing} of its pages are missing before byte {start}")
        last[stream] = number, granule > 0
    if at > len(data) or not flags & 4:
        there = min(at, len(data))
        raise broken(f"{there} bytes: its last page is not marked as the end")
    return at


def _ogg_pages(data: Bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(start, flags, granule, stream, number, end) of each page, one after another."""
    at = 0
    for _ in _parts():
        head = data[at : at + 27]
        if len(head) < 27 or head[:4] != b"OggS":
            return
        _, _, flags, granule, stream, number, _ = OGG_PAGE.unpack(head[:26])
        table = data[at + 27 : at + 27 + head[26]]
        end = at + 27 + head[26] + sum(table)
        yield at, flags, granule, stream, number, end
        at = end


def flac_in_ogg(data: Bytes) -> bytes | None:
    """The FLAC that an Ogg carries, without the pages; None where it carries anything else.

    libsndfile cannot read all of these.
    """
    if data[28:33] != OGG_FLAC:
        return None
    pages = ((start, end) for start, *_, end in _ogg_pages(data))
    packets = b"".join(data[start + 27 + data[start + 26] : end] for start, end in pages)
    # Before FLAC's own header: magic, version, number of packets.
    return packets[9:]


def check_mp4(data: Bytes) -> None:
    """Top-level boxes must be whole, and the samples that tracks list must fit into the file.

    The second keeps FFmpeg from building an index of samples that cannot be there. Fragments
    must be numbered without a gap, and an index (`mfra`, `sidx`) must show that all are there.
    """
    listed, fragments, indexed = 0, 0, False
    seen: set[bytes] = set()
    for kind, start, end in _boxes(data, 0, len(data)):
        if end > len(data) and kind in (b"moov", b"mdat", b"moof", b"mfra"):
            there, box = len(data) - start, kind.decode()
            raise broken(f"{there} of {end - start} bytes of its {box} box")
        if kind in (b"ftyp", b"moov") and kind in seen:
            raise another("behind the first")
        seen.add(kind)
        if kind == b"moov":
            if data[start + 4 : start + 8] == b"cmov":
                # Unpacked, it may be a thousand times as large; no recorder writes one any more.
                raise CorruptAudio("has a compressed header", remedy="Convert it to FLAC.")
            path = (b"trak", b"mdia", b"minf", b"stbl")
            listed += sum(_listed(data, start, end, path))
        if kind == b"sidx":
            count, covered = _index(data, start, end)
            if end + covered > len(data):
                raise broken(f"{len(data) - end} of {covered} bytes of its fragments")
            # Where each fragment has an index of its own, none counts all fragments.
            indexed = indexed or count > 1
        if kind == b"moof":
            boxes = _boxes(data, start, end)
            header = next((at for box, at, _ in boxes if box == b"mfhd"), None)
            number = None if header is None else _number(data, header + 4, 4)
            if fragments and number not in (None, fragments + 1):
                raise damaged(f": fragment {fragments} is followed by {number}")
            fragments = number or fragments
    if listed > len(data):
        raise broken(f"{len(data)} bytes, but lists {listed} bytes of samples")
    if b"moof" in seen and not indexed and b"mfra" not in seen:
        raise CorruptAudio(
            f"has no index behind its fragments, so that it may break off after {len(data)} bytes",
            remedy="Fetch it again, or convert it to FLAC.",
        )


def _index(data: Bytes, start: int, end: int) -> tuple[int, int]:
    """(fragments, bytes from the index's end to theirs) that a `sidx` box lists."""
    wide = 4 if data[start : start + 1] == b"\0" else 8
    at = start + 12 + wide
    offset, count = _number(data, at, wide), _number(data, at + wide + 2, 2)
    table = data[at + wide + 4 : min(end, at + wide + 4 + 12 * count)]
    sizes = np.frombuffer(table, ">u4", len(table) // 12 * 3)[::3] & 0x7FFFFFFF
    return count, offset + int(sizes.sum(dtype=np.uint64))


def _listed(data: Bytes, at: int, end: int, path: tuple[bytes, ...]) -> Iterator[int]:
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


def _boxes(data: Bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the contents of each box from `at` to `end`."""
    for _ in _parts():
        head = data[at : min(at + 8, end)]
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        header = 8
        if size == 1 and at + 16 <= end:
            size, header = _number(data, at + 8, 8), 16
        if size == 0:
            size = end - at
        if size < header:
            return
        yield kind, at + header, at + size
        at += size


def check_webm(data: Bytes) -> None:
    """Every element must be whole; segments and clusters may be of unknown size, as live ones."""
    at, begun = 0, False
    for _ in _parts():
        if at >= len(data):
            return
        kind, at = _ebml_number(data, at, keep_marker=True)
        size, at = _ebml_number(data, at)
        if size is not None and at + size > len(data):
            raise broken(f"{len(data) - at} of {size} bytes of an element")
        if kind == EBML_HEADER and begun:
            raise another("behind the first")
        begun = True
        if kind in (EBML_SEGMENT, EBML_CLUSTER):
            continue
        if kind is None or size is None:
            raise broken(f"{len(data)} bytes, within an element")
        at += size


def _ebml_number(data: Bytes, at: int, *, keep_marker: bool = False) -> tuple[int | None, int]:
    """A number of 1 to 8 bytes at `at`, and where it ends; None if cut, or all ones: unknown."""
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > 8 or at + length > len(data):
        return None, len(data)
    number = _number(data, at, length)
    marker = 1 << 7 * length
    if keep_marker:
        return number, at + length
    return (None if number == 2 * marker - 1 else number - marker), at + length


def _number(data: Bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _parts() -> Iterator[int]:
    """Counts the parts of a recording; CorruptAudio where they are too many."""
    yield from range(MOST_PARTS)
    raise CorruptAudio(
        f"is made of more than {MOST_PARTS} parts, as no recording of speech is",
        remedy="Leave it out.",
    )


def another(where: str) -> CorruptAudio:
    return CorruptAudio(
        f"holds another recording {where}", "one a file", "Split it, or leave it out."
    )


def broken(where: str) -> CorruptAudio:
    return CorruptAudio(f"breaks off after {where}", remedy=FETCH_AGAIN)


def damaged(how: str) -> CorruptAudio:
    return CorruptAudio(f"is damaged{how}", remedy=FETCH_AGAIN)


def longer(seconds: float, *, stated: float) -> CorruptAudio:
    return CorruptAudio(
        f"goes on for {seconds:.2f} s, but its header states {stated:.2f} s",
        remedy="Export it again, or leave it out.",
    )
