"""Where numba, which compiles parts of librosa, keeps its code on a machine that is read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

VARIABLE = "NUMBA_CACHE_DIR"


@contextmanager
def compiled_code_kept() -> Iterator[None]:
    """Give numba a temporary folder where it would find none; without one it raises.

    It writes beside the compiled module, else into the user's cache.
    """
    if os.environ.get(VARIABLE) or any(map(_is_writable, _places())):
        yield
        return
    # Not a fixed name in a shared folder: what lies there is executed.
    with TemporaryDirectory(prefix="ser-numba-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]


def _places() -> Iterator[Path]:
    spec = find_spec("librosa")
    if spec and spec.origin:
        yield Path(spec.origin).parent
    yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _is_writable(folder: Path) -> bool:
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return os.access(existing, os.W_OK)
