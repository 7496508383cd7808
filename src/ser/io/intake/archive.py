"""ZIP and TAR archives from anywhere, unpacked into a folder and never beside it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

from ser.errors import CorpusError, MissingCorpus
from ser.io.intake.names import check_distinct, safe_path

#: What an archive may unpack to: bytes, and entries.
MAX_UNPACKED, MAX_ENTRIES = 64 * 2**30, 500_000
#: How many times smaller audio and its labels may be packed; asked beyond FREE_BYTES only, since
#: small files of silence do pack a thousandfold.
MAX_RATIO, FREE_BYTES = 100, 2**28
#: Bytes of one read from a TAR archive: its reader holds names and headers in memory.
MAX_READ = 2**20
#: First bytes of a packed TAR archive, and what opens it.
PACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"]\0\0": lzma.open,
}
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    # What zipfile and tarfile raise for headers that make no sense.
    struct.error,
    ValueError,
    OverflowError,
)


class _Entry(NamedTuple):
    """`content` is None for a link or a device; `skipped`: bytes read where it is not wanted."""

    name: str
    is_folder: bool
    content: Callable[[], Any] | None
    skipped: int = 0


def unpack(source: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    """Unpack the files of `source` that are wanted to `folder`.

    Raises MissingCorpus, or CorpusError where `source` is no archive, any entry, wanted or not, is
    a link, a device, leads out of the folder or falls onto another, or where the archive is
    damaged or unpacks to too much.
    """
    if not os.path.lexists(source):
        raise MissingCorpus(f"{source} does not exist; name a folder, a ZIP or a TAR archive.")
    # Opening a pipe would wait for somebody to write.
    if not os.path.isfile(source):
        raise _no_archive(source)
    packed = source.stat().st_size
    left = allowed = min(MAX_UNPACKED, max(FREE_BYTES, MAX_RATIO * packed))
    seen: set[PurePosixPath] = set()
    entries = _zip_entries(source) if zipfile.is_zipfile(source) else _tar_entries(source)
    try:
        for count, entry in enumerate(entries, start=1):
            if count > MAX_ENTRIES:
                raise CorpusError(f"{source} holds over {MAX_ENTRIES:,} entries; refused.")
            if entry.name in (".", "./"):
                continue
            path = safe_path(entry.name, str(source))
            if entry.is_folder:
                continue
            if entry.content is None:
                raise CorpusError(f"{source}: {entry.name} is a link or device; refused.")
            if path in seen:
                raise CorpusError(f"{source} holds {path} twice; refused.")
            seen.add(path)
            if wanted(path):
                left -= _copy(entry.content(), folder / path, left)
            else:
                left -= entry.skipped
            if left < 0:
                raise CorpusError(
                    f"{source} ({packed:,} bytes) unpacks to over {allowed:,} bytes; refused."
                )
    except (FileExistsError, NotADirectoryError) as error:
        raise CorpusError(f"{source}: {path} falls onto another entry; refused.") from error
    except DAMAGE as error:
        raise CorpusError(f"{source} is damaged ({error}); fetch it again.") from error
    except (RuntimeError, NotImplementedError) as error:
        raise CorpusError(
            f"{source} cannot be unpacked ({error}); unpack it yourself and name the folder."
        ) from error
    check_distinct(seen, str(source))


def _copy(content: IO[bytes], target: Path, most: int) -> int:
    """Copy until `most` bytes are exceeded, whatever size the archive claims; bytes copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    copied = 0
    with content, target.open("xb") as file:
        while copied <= most and (chunk := content.read(MAX_READ)):
            copied += file.write(chunk)
    return copied


def _zip_entries(source: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            # zipfile cuts a name at NUL, so the name as it stands is checked.
            # Some packers on Windows write its backslashes; here they may not lead out, either.
            name = entry.orig_filename.replace("\\", "/")
            plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            content = partial(archive.open, entry) if plain else None
            yield _Entry(name, name.endswith("/"), content)


def _tar_entries(source: Path) -> Iterator[_Entry]:
    with source.open("rb") as file:
        magic = file.read(6)
    opener = next((o for sign, o in PACKERS.items() if magic.startswith(sign)), open)
    with opener(source, "rb") as stream:
        guarded = cast(IO[bytes], _Guarded(stream, source))
        try:
            # TarFile unpacks nothing itself: a second layer of packing would escape the guard.
            archive = tarfile.TarFile(fileobj=guarded)
        except (*DAMAGE, OSError) as error:
            raise _no_archive(source) from error
        for member in archive:
            content = partial(archive.extractfile, member) if member.isfile() else None
            # To skip a member, it is unpacked all the same.
            yield _Entry(member.name, member.isdir(), content, member.size)
        # The checksum of a compressed archive stands behind its last member.
        while stream.read(MAX_READ):
            pass


class _Guarded:
    """A TAR stream whose headers cannot claim more memory than MAX_READ."""

    def __init__(self, stream: IO[bytes], source: Path) -> None:
        self._stream, self._source = stream, source
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_READ:
            raise CorpusError(f"{self._source} has a header of {size:,} bytes; refused.")
        return self._stream.read(size)


def _no_archive(source: Path) -> CorpusError:
    return CorpusError(f"{source} is neither a folder nor a ZIP or TAR archive. Name one of these.")
