"""What all commands share: their exit statuses, and the project they work in."""

from __future__ import annotations

from pathlib import Path

from ser.errors import SerError

#: Exit statuses: every file answered, some file failed, nothing could be done.
SOME_FAILED, USER_ERROR = 1, 2


def project_root() -> Path:
    """The project that the current folder belongs to."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise SerError(f"{here} is in no project: no params.yaml and dvc.yaml here or above. cd there.")
