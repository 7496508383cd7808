"""ZIP and TAR archives from anywhere, unpacked into a folder and never beside it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from ser.errors import CorpusError
from ser.io.intake.names import check_distinct, safe_path

#: What an archive may unpack to: bytes, and entries.
MAX_UNPACKED, MAX_ENTRIES = 64 * 2**30, 500_000
#: Times that audio and its labels may be smaller packed; asked beyond FREE_BYTES only, since
#: small files of silence do pack a thousandfold.
MAX_RATIO, FREE_BYTES = 100, 2**28
#: Bytes of one name or header in a TAR archive, which its reader holds in memory.
MAX_HEADER = 2**20
CHUNK = 2**20
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    # What zipfile and tarfile let through of headers that make no sense.
    struct.error,
    ValueError,
    OverflowError,
)


def is_archive(path: Path) -> bool:
    return zipfile.is_zipfile(path) or _is_tar(path)


def unpack(source: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    """Unpack the files of `source` that are wanted to `folder`.

    Raises CorpusError where any entry, wanted or not, is a link, a device, encrypted, leads out
    of the folder or falls onto another, where the archive is damaged or unpacks to too much.
    """
    try:
        if zipfile.is_zipfile(source):
            _unpack_zip(source, folder, wanted)
        else:
            _unpack_tar(source, folder, wanted)
    except DAMAGE as error:
        raise CorpusError(f"{source} is damaged ({error}); fetch it again.") from error
    except (RuntimeError, NotImplementedError) as error:
        raise CorpusError(
            f"{source} cannot be unpacked ({error}); unpack it yourself and name the folder."
        ) from error


@dataclass
class _Budget:
    """Counts what an archive unpacks to; raises CorpusError beyond the limits."""

    source: Path
    packed: int
    entries: int = 0
    unpacked: int = 0

    def entry(self) -> None:
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise CorpusError(f"{self.source} holds over {MAX_ENTRIES:,} entries; refused.")

    def spend(self, size: int) -> None:
        self.unpacked += size
        allowed = min(MAX_UNPACKED, max(FREE_BYTES, MAX_RATIO * self.packed))
        if self.unpacked > allowed:
            raise CorpusError(
                f"{self.source} ({self.packed:,} bytes) unpacks to over {allowed:,} bytes; refused."
            )


def _unpack_zip(source: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    with zipfile.ZipFile(source) as archive:
        budget = _Budget(source, source.stat().st_size)
        files: dict[PurePosixPath, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            budget.entry()
            if entry.filename == "./":
                continue
            # zipfile cuts a name at NUL; the name as it stands is judged.
            # Some packers on Windows write its backslashes; here they may not lead out, either.
            name = entry.orig_filename.replace("\\", "/")
            path = safe_path(name, str(source))
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise CorpusError(f"{source}: {entry.filename} is a link or device; refused.")
            if name.endswith("/"):
                continue
            if entry.flag_bits & 1:
                raise CorpusError(
                    f"{source}: {entry.filename} is encrypted; unpack it yourself and name the "
                    "folder."
                )
            _list(files, path, entry, source)
        check_distinct(files, str(source))
        for path, entry in files.items():
            if wanted(path):
                with archive.open(entry) as content:
                    _take(content, folder / path, budget)


def _unpack_tar(source: Path, folder: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    with _opened(source) as stream, _tar(stream, source) as archive:
        budget = _Budget(source, source.stat().st_size)
        files: dict[PurePosixPath, None] = {}
        for member in archive:
            budget.entry()
            if member.name in (".", "./"):
                continue
            path = safe_path(member.name, str(source))
            if member.isdir():
                continue
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                raise CorpusError(f"{source}: {member.name} is a link or device; refused.")
            _list(files, path, None, source)
            if wanted(path):
                _take(content, folder / path, budget)
            else:
                # Skipping it unpacks it as well.
                budget.spend(member.size)
        check_distinct(files, str(source))
        # The checksum of a compressed archive stands behind its last member.
        while stream.read(CHUNK):
            pass


def _list(files: dict[PurePosixPath, Any], path: PurePosixPath, entry: Any, source: Path) -> None:
    if path in files:
        raise CorpusError(f"{source} holds {path} twice; refused.")
    files[path] = entry


def _take(content: IO[bytes], target: Path, budget: _Budget) -> None:
    """Copy what is there, whatever size the archive's listing claims."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while chunk := content.read(CHUNK):
                budget.spend(len(chunk))
                file.write(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise CorpusError(
            f"{budget.source}: {target.name} falls onto another entry; refused."
        ) from error


class _Guarded:
    """A TAR stream whose headers cannot claim more memory than MAX_HEADER."""

    def __init__(self, stream: IO[bytes], source: Path) -> None:
        self._stream, self._source = stream, source
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= max(MAX_HEADER, CHUNK):
            raise CorpusError(f"{self._source} has a header of {size:,} bytes; refused.")
        return self._stream.read(size)


def _tar(stream: IO[bytes], source: Path) -> tarfile.TarFile:
    # "r:" takes the stream as it is: a second layer of packing would escape the guard.
    return tarfile.open(fileobj=cast(IO[bytes], _Guarded(stream, source)), mode="r:")


def _opened(source: Path) -> IO[bytes]:
    """The archive's bytes, unpacked while they are read."""
    with source.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(source))
    if magic.startswith(b"BZh"):
        return bz2.open(source)
    if magic.startswith((b"\xfd7zXZ\x00", b"\x5d\x00\x00")):
        return lzma.open(source)
    return source.open("rb")


def _is_tar(source: Path) -> bool:
    try:
        with _opened(source) as stream, _tar(stream, source):
            return True
    except (*DAMAGE, OSError):
        return False
