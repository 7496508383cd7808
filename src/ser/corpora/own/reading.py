"""Small files that a user wrote: regular ones of bounded size, in YAML with no key twice."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from ser import strict_yaml
from ser.errors import CorpusError

#: Bytes of a table, and of a file in YAML, which is read a thousand times slower.
MAX_TABLE, MAX_YAML = 2**29, 2**17


def read_bytes(path: Path, *, limit: int = MAX_TABLE) -> bytes:
    """The bytes of a regular file, through links.

    Raises CorpusError for a pipe, a device or a folder, which could be read for ever, and beyond
    `limit`; OSError where the file is missing or closed to us.
    """
    # Opening a pipe without a writer blocks; a check before it would leave a gap between the two.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise CorpusError(f"{path} is a {_kind(found.st_mode)}; expected a file. Name one.")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise CorpusError(f"{path} has over {limit:,} bytes; expected at most that. Split it.")
    return content


def load_yaml(path: Path) -> Any:
    """What a YAML file holds; raises CorpusError, OSError, or ValueError where it is no YAML."""
    try:
        return strict_yaml.load_yaml(read_bytes(path, limit=MAX_YAML).decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
