"""DVC, as a command and as the lock file it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from ser.errors import SerError


def locked_md5(root: Path, path: Path) -> str | None:
    """The hash that dvc.lock holds of a stage's out (`….dir` for a folder), None if it has none.

    A stage reads the hash of what it depends on; its own outs are locked after it ended.
    """
    lock = root / "dvc.lock"
    if not lock.exists():
        return None
    for stage in (yaml.safe_load(lock.read_text()) or {}).get("stages", {}).values():
        for out in stage.get("outs", []):
            if out["path"] == path.as_posix():
                return str(out["md5"])
    return None


def add(root: Path, path: Path) -> None:
    """Put a folder under DVC: its content into the cache, its hash into `<path>.dvc`."""
    command = [sys.executable, "-m", "dvc", "add", "--quiet", str(path)]
    done = subprocess.run(
        command,
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SerError(
            f"DVC could not track {path} ({' '.join(reason).removeprefix('ERROR: ')}). "
            f"Try `dvc add {path}` by hand."
        )
