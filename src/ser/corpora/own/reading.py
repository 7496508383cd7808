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


def read_bytes(path: Path, *, remedy: str, limit: int = MAX_TABLE) -> bytes:
    """The bytes of a regular file, through links.

    Raises CorpusError where it is missing (ends in `remedy`), closed to us, larger than `limit`,
    or a pipe, a device or a folder, which could be read for ever.
    """
    try:
        # Opening a pipe without a writer blocks; a check before it would leave a gap between both.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe"}
                kind = kinds.get(stat.S_IFMT(mode), "device")
                raise CorpusError(f"{path} is a {kind}; expected a file. Name one.")
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise CorpusError(f"{path} does not exist. {remedy}") from error
    except OSError as error:
        raise CorpusError(
            f"{path} cannot be read ({error.strerror or error}). Give access to it."
        ) from error
    if len(content) > limit:
        raise CorpusError(f"{path} has over {limit:,} bytes; expected at most that. Split it.")
    return content


def load_yaml(path: Path, *, remedy: str) -> Any:
    """What a YAML file holds; raises CorpusError as `read_bytes`, ValueError if it is no YAML."""
    content = read_bytes(path, remedy=remedy, limit=MAX_YAML)
    try:
        return strict_yaml.load_yaml(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
