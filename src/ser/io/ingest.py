"""A corpus from a folder or an archive into data/raw, whole or not at all."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ser.corpora.base import Corpus, is_audio
from ser.corpora.catalogue import label_files
from ser.errors import CorpusError, MissingCorpus
from ser.io.store import atomic_path

#: Bytes that an archive may unpack to.
MAX_UNPACKED = 64 * 2**30
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
)


def ingest(source: Path, dest: Path, corpus: Corpus) -> int:
    """Copy the recordings of `source`, a folder or a ZIP or TAR archive, to `dest`.

    Every name must be one of the corpus; returns how many recordings came in. Raises
    MissingCorpus or CorpusError, and then nothing is at `dest`.
    """
    if dest.exists():
        raise CorpusError(
            f"{dest} exists already. Remove it first (`dvc remove {dest}.dvc`, then delete the "
            "folder) to add another copy."
        )
    with _as_folder(source) as folder:
        files = label_files(folder, corpus)
        try:
            with atomic_path(dest) as copy:
                for file in files:
                    target = copy / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / file, target)
        except OSError as error:
            raise CorpusError(
                f"{error.filename} could not be copied to {dest} ({error.strerror}). "
                "Make room or give access, then add the corpus again."
            ) from error
    return len(files)


@contextmanager
def _as_folder(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source
        return
    if not source.exists():
        raise MissingCorpus(f"{source} does not exist; name a folder, a ZIP or a TAR archive.")
    if not (zipfile.is_zipfile(source) or tarfile.is_tarfile(source)):
        raise CorpusError(f"{source} is neither a folder nor a ZIP or TAR archive.")
    with tempfile.TemporaryDirectory(prefix="ser-corpus-") as temporary:
        try:
            _unpack(source, Path(temporary))
        except DAMAGE as error:
            raise CorpusError(f"{source} is damaged ({error}); fetch it again.") from error
        except (RuntimeError, NotImplementedError) as error:
            raise CorpusError(
                f"{source} cannot be unpacked ({error}); unpack it yourself and name the folder."
            ) from error
        yield Path(temporary)


def _unpack(source: Path, folder: Path) -> None:
    """Take the recordings out; links, devices and names that leave the folder are refused."""
    total = 0
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if entry.is_dir() or not is_audio(PurePosixPath(entry.filename)):
                    continue
                total = _counted(source, total, entry.file_size)
                with archive.open(entry) as content:
                    _take(content, _inside(source, folder, entry.filename))
        return
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isdir() or not is_audio(PurePosixPath(member.name)):
                continue
            taken = archive.extractfile(member) if member.isfile() else None
            if taken is None:
                raise CorpusError(f"{source}: {member.name} is a link or device; refused.")
            total = _counted(source, total, member.size)
            _take(taken, _inside(source, folder, member.name))
        # The checksum of a compressed archive stands behind its last member.
        while archive.fileobj and archive.fileobj.read(2**20):
            pass


def _take(content: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        shutil.copyfileobj(content, file)


def _inside(source: Path, folder: Path, name: str) -> Path:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise CorpusError(f"{source}: {name} leads out of the archive; refused.")
    return target


def _counted(source: Path, total: int, size: int) -> int:
    if total + size > MAX_UNPACKED:
        raise CorpusError(f"{source} unpacks to over {MAX_UNPACKED // 2**30} GiB; refused.")
    return total + size
