"""Local files: atomic writes, hashes, locks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ser.errors import CorpusError, TableError

PACKAGE = Path(__file__).parent


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary sibling to write, which replaces `target` only if the block succeeds.

    For a file or a folder; a failed write leaves the old one, and nothing else.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        elif target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(value: Mapping[str, Any], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as `write_json` writes it."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise TableError(f"{path} does not exist; make it with `dvc repro`.") from error
    except ValueError as error:
        raise TableError(
            f"{path} is not readable as JSON; delete it and make it again with `dvc repro`."
        ) from error
    if not isinstance(value, dict):
        raise TableError(f"{path} holds a {type(value).__name__}; expected a JSON object.")
    return value


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
