"""Where the project lies."""

from __future__ import annotations

from pathlib import Path


def find_root() -> Path | None:
    """The project that the current folder belongs to; None where it is in none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    return None


def in_project(path: str) -> Path:
    """A path of params.yaml: relative ones start at the project's root, whatever the current
    folder is."""
    return (find_root() or Path.cwd()) / Path(path).expanduser()
