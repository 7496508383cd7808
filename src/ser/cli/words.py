"""What all commands share: their exit statuses, and the project they work in."""

from __future__ import annotations

from pathlib import Path

from ser.errors import SerError
from ser.project import find_root

#: Exit statuses: every file answered, some file failed, nothing could be done.
SOME_FAILED, USER_ERROR = 1, 2


def project_root() -> Path:
    """The project that the current folder belongs to; raises SerError where it is in none."""
    root = find_root()
    if root is None:
        raise SerError(
            f"{Path.cwd()} is in no project: no params.yaml and dvc.yaml here or above. cd there."
        )
    return root
