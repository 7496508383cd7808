"""Who trained, where, and from which state of code and data."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

#: What the pipeline and DVC write into git's tree: to be committed, but no change of code.
RECORDS = ("dvc.lock", "reports/headline.json", "reports/metrics.json", "data/raw/.gitignore")
#: Where a file that git does not track changes what a run makes; elsewhere it may be a note.
CODE = ("src/", "flows/")


def lineage_tags(root: Path) -> dict[str, str]:
    """Who, where, and from which state of the code; empty facts are left out.

    The hash of dvc.lock is not among them: DVC writes it after the stage has ended.
    """
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "process.host": socket.gethostname(),
        "process.pid": str(os.getpid()),
        **git_revision(root),
    }
    for tag, variable in (
        ("dvc.exp.name", "DVC_EXP_NAME"),
        ("dvc.exp.baseline", "DVC_EXP_BASELINE_REV"),
    ):
        if os.environ.get(variable):
            tags[tag] = os.environ[variable]
    return tags


def lock_sha256(root: Path) -> str:
    """Hash of dvc.lock as it stands."""
    return hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()


def git_revision(root: Path) -> dict[str, str]:
    """`mlflow.source.git.commit` and `git.dirty` ("true" where `git_diff` is not empty), or {}."""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = _git(root, "rev-parse", "HEAD").strip()
        return {
            "mlflow.source.git.commit": commit,
            "git.dirty": str(bool(_code(_changed(root)))).lower(),
        }
    return {}


def git_diff(root: Path) -> bytes:
    """What `git apply` needs to make this state of code and parameters from the commit.

    Files that git does not track are in it where they are code or `.dvc` files.
    """
    changed = _code(_changed(root))
    if not changed:
        return b""
    new = [_literal(path) for status, path in changed if status == "??"]
    index = root / _git(root, "rev-parse", "--git-path", "index").strip()
    with TemporaryDirectory() as folder:
        # In a copy of git's index, files may be added that the user has not added.
        copy = Path(folder) / "index"
        if index.exists():
            # With its time, by which git finds files that changed in the moment of its writing.
            shutil.copy2(index, copy)
        if new:
            _git(root, "add", "--intent-to-add", "--", *new, index=copy)
        paths = [_literal(path) for _, path in changed]
        command = _command(root, "diff", "--binary", "--no-ext-diff", "HEAD", "--", *paths)
        return subprocess.run(
            command, check=True, capture_output=True, env=_environment(copy)
        ).stdout


def uncommitted(root: Path) -> tuple[str, ...]:
    """What git must hold for a clone to have this very model, and does not hold yet.

    Those are dvc.lock, the scores, params.yaml and `.dvc` files; () where git tracks nothing here.
    """
    with suppress(OSError, subprocess.CalledProcessError):
        return tuple(
            path
            for _, path in _changed(root)
            if path in (*RECORDS, "params.yaml", "dvc.yaml") or path.endswith(".dvc")
        )
    return ()


def _changed(root: Path) -> list[tuple[str, str]]:
    """(status, path below `root`) of all that differs from the commit, ignored files left out."""
    prefix = _git(root, "rev-parse", "--show-prefix").strip()
    listed = _git(
        root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."
    )
    entries = [(entry[:2], entry[3:]) for entry in listed.split("\0") if entry]
    return [(status, path.removeprefix(prefix)) for status, path in entries]


def _code(changed: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (status, path)
        for status, path in changed
        if path not in RECORDS
        and (status != "??" or path.startswith(CODE) or path.endswith(".dvc"))
    ]


def _literal(path: str) -> str:
    return f":(literal){path}"


def _git(root: Path, *arguments: str, index: Path | None = None) -> str:
    done = subprocess.run(
        _command(root, *arguments), check=True, capture_output=True, env=_environment(index)
    )
    return os.fsdecode(done.stdout)


def _command(root: Path, *arguments: str) -> list[str]:
    return ["git", "-C", str(root), *arguments]


def _environment(index: Path | None) -> dict[str, str]:
    # Reading a status may otherwise write git's index, which another process may be writing.
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    return quiet if index is None else {**quiet, "GIT_INDEX_FILE": str(index)}


def _user() -> str:
    # In a container the uid may have no name.
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.getuid())
