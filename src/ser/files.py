"""Files of this machine: written whole or not at all, hashed, and changed by one at a time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ser.errors import CorpusError, TableError

PACKAGE = Path(__file__).parent


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary sibling to write; it takes `target`'s place only if the block succeeds.

    Works for a file or a folder; a failed write leaves the old artefact and no debris.
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
    """JSON as `write_json` lays it out."""
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

    def hash_one(key: str) -> tuple[str, str] | None:
        try:
            return key, file_hash(paths[key], algorithm)
        except OSError:
            return None

    # hashlib gives the interpreter free while it works.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return dict(pair for pair in _counted(pool.map(hash_one, paths), progress) if pair)


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    # A pipe would be read until somebody writes to it.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _counted(
    hashes: Iterable[tuple[str, str] | None], progress: Callable[[int], object] | None
) -> Iterator[tuple[str, str] | None]:
    for pair in hashes:
        if progress:
            progress(1)
        yield pair


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
    """Hash of source of this package: files and folders by their paths in it."""
    digest = hashlib.sha256()
    for room in rooms:
        place = PACKAGE / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
