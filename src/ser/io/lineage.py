"""Who trained, where, and from which state of code and data."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path


def lineage_tags(root: Path) -> dict[str, str]:
    """Who, where, and from which state of code and data; empty facts are left out."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "process.host": socket.gethostname(),
        "process.pid": str(os.getpid()),
        **git_revision(root),
    }
    if (root / "dvc.lock").exists():
        tags["dvc.lock.sha256"] = lock_sha256(root)
    for tag, variable in (
        ("dvc.exp.name", "DVC_EXP_NAME"),
        ("dvc.exp.baseline", "DVC_EXP_BASELINE_REV"),
    ):
        if os.environ.get(variable):
            tags[tag] = os.environ[variable]
    return tags


def lock_sha256(root: Path) -> str:
    """Hash of dvc.lock as it stands: at a run's start, then again when it is registered."""
    return hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()


def git_revision(root: Path) -> dict[str, str]:
    """`mlflow.source.git.commit` and `git.dirty` ("true" with uncommitted changes), or {}."""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        return {"mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}
    return {}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _user() -> str:
    # In a container the uid may have no name.
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.getuid())
