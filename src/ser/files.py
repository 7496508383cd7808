"""Local files: atomic writes, hashes, locks."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import socket
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ser.errors import CorpusError, NotWritten, SerError, TableError, way_out

PACKAGE = Path(__file__).parent
#: The remedy for a file that a stage makes.
MAKE = "Make it with `dvc repro`."
#: Free bytes below which a disk is called full.
LITTLE = 1024 * 1024


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary sibling to write, which replaces `target` only if the block succeeds.

    For a file or a folder; a failed write leaves the old one, and nothing else. Raises NotWritten
    where the system refuses, in the block as well.
    """
    with _writing(target):
        temporary = _temporary(target)
        try:
            with _full_disk_named(target):
                yield temporary
            if temporary.is_file():
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            elif target.is_dir():
                shutil.rmtree(target)
            temporary.replace(target)
        finally:
            _remove(temporary)


def no_room(error: BaseException | str, *places: Path) -> str:
    """The one line for an error that comes of a full disk; "" for any other.

    places : where this process writes, beside TMPDIR and HOME. One that is full explains an error
        that says nothing of it, such as that of a server which writes there.
    """
    full, remedy = full_disks(*places), way_out(error)
    if not (full or remedy):
        return ""
    named = getattr(error, "filename", None)
    found = f"{named} cannot be written" if named else "The disk is full"
    reason = next(iter(str(error).splitlines()), "")
    return f"{found} ({full or reason}). {remedy or way_out('disk is full')}"


def full_disks(*places: Path) -> str:
    """Which of the places, TMPDIR and HOME are on a disk with no room; "" where none is."""
    temporary = Path(os.environ.get("TMPDIR", "/tmp"))
    # Each disk once, by the first of the places on it.
    disks: dict[int, Path] = {}
    for place in (*places, temporary, Path.home()):
        with suppress(OSError):
            disks.setdefault(place.stat().st_dev, place)
    left = {place: shutil.disk_usage(place).free for place in disks.values()}
    return "; ".join(
        f"{place} has {n / 1024:.0f} KB left" for place, n in left.items() if n < LITTLE
    )


def check_file(target: Path) -> None:
    """Raises NotWritten where no such file can be written: asked before long work for it."""
    with _writing(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary = _temporary(target)
        temporary.touch()
        temporary.unlink()


def check_folder(target: Path) -> None:
    """`check_file` of files in a folder, which is made."""
    with _writing(target):
        check_file(target / "x")


@contextmanager
def _full_disk_named(target: Path) -> Iterator[None]:
    """An error of a library that could not write, and says no more, is a full disk: now, since what
    was half written will be removed."""
    try:
        yield
    except (OSError, SerError):
        raise
    except Exception as error:
        if shutil.disk_usage(target.parent).free >= LITTLE:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotWritten(error.errno, error.strerror or str(error), str(target)) from error


def _temporary(target: Path) -> Path:
    """A name beside `target` of which nothing is there, in a folder that is made."""
    if target.exists() and not (target.is_file() or target.is_dir()):
        # /dev/null itself would be replaced.
        raise OSError(errno.EINVAL, "not a regular file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # "File exists" would be said of `target`, whose parent is a file.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
    prefix = f".{target.name}.{socket.gethostname()}."
    for path in target.parent.glob(f"{glob.escape(prefix)}*.tmp"):
        # A process that was killed could not remove its own.
        pid = path.name.removeprefix(prefix).removesuffix(".tmp")
        if pid == str(os.getpid()) or (pid.isdecimal() and not is_alive(int(pid))):
            with suppress(OSError):
                _remove(path)
    return target.with_name(f"{prefix}{os.getpid()}.tmp")


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It is another user's.
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """UTF-8 whatever the locale; bytes of a file's name that are none are escaped, as on stdout."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(value: Mapping[str, Any], path: Path) -> None:
    write_text(json_text(value), path)


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as `write_json` writes it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def read_json(path: Path, *, remedy: str = MAKE) -> dict[str, Any]:
    """A JSON object; TableError where there is none. remedy : for a file that no stage makes."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"{path} cannot be read ({error.strerror}). {remedy}") from error
    except ValueError as error:
        raise TableError(f"{path} is not readable as JSON. {remedy}") from error
    if not isinstance(value, dict):
        found = type(value).__name__
        raise TableError(f"{path} holds a {found}; expected a JSON object. {remedy}")
    return value


def names_apart(names: Iterable[str]) -> list[str]:
    """The names of files, numbered where one was there before.

    File systems may take upper and lower case, and two spellings of an accent, for one.

    >>> names_apart(["x", "X", "x-2", "y"])
    ['x', 'X-2', 'x-2-2', 'y']
    """
    taken: set[str] = set()
    found = []
    for name in names:
        own, number = name, 1
        while (key := unicodedata.normalize("NFC", own).casefold()) in taken:
            number += 1
            own = f"{name}-{number}"
        taken.add(key)
        found.append(own)
    return found


def hash_files(
    paths: Mapping[str, Path], algorithm: str, *, progress: Callable[[int], object] | None = None
) -> dict[str, str]:
    """Hash of each file by its key, in threads; a file that cannot be read is left out."""

    hashes: dict[str, str] = {}

    def hash_one(key: str) -> None:
        with suppress(OSError):
            hashes[key] = file_hash(paths[key], algorithm)

    # hashlib releases the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(hash_one, paths):
            if progress:
                progress(1)
    return {key: hashes[key] for key in paths if key in hashes}


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    # Reading a pipe would block until something writes to it.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock beside `folder`; raises CorpusError where another process holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock.tmp"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise CorpusError(
            f"Another command is changing {folder}. Wait for it, or end it, then try again."
        ) from error
    try:
        yield
    finally:
        lock.release()


def code_sha256(*rooms: str) -> str:
    """Hash of source files of this package; rooms : paths of files or folders in it."""
    digest = hashlib.sha256()
    for room in rooms:
        place = PACKAGE / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
