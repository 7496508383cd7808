"""DVC, as a command and as the lock file it writes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from ser.errors import SerError
from ser.io.checksums import hash_files


def folder_md5(folder: Path) -> str:
    """The hash that DVC gives a folder as it lies there: `….dir`, 36 characters."""
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    md5 = hash_files(files, "md5")
    # DVC's own listing, byte for byte: see the `.dir` objects in its cache.
    listing = [{"md5": md5[file], "relpath": file} for file in sorted(md5, key=_parts)]
    return f"{hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest()}.dir"


def _parts(file: str) -> list[str]:
    return file.split("/")


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


def tracked_md5(root: Path, path: Path) -> str | None:
    """The hash that `<path>.dvc` holds, or dvc.lock for a stage's out; None if neither does."""
    tracker = tracker_of(root, path)
    if not tracker.exists():
        return locked_md5(root, path)
    outs = (yaml.safe_load(tracker.read_text()) or {}).get("outs") or [{}]
    return str(outs[0]["md5"]) if "md5" in outs[0] else None


def tracker_of(root: Path, path: Path) -> Path:
    """`<path>.dvc`, in which DVC notes what it tracks."""
    return root / path.with_name(f"{path.name}.dvc")


def add(root: Path, path: Path) -> None:
    """Put a folder under DVC: its content into the cache, its hash into `<path>.dvc`."""
    _run(root, "add", path)


def forget(root: Path, path: Path) -> None:
    """Take `<path>.dvc` and its line in .gitignore away; files and cache stay."""
    _run(root, "remove", tracker_of(root, path).relative_to(root))


def _run(root: Path, verb: str, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", verb, "--quiet", str(path)],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise SerError(
            f"`dvc {verb} {path}` failed ({' '.join(reason).removeprefix('ERROR: ')}). "
            "Try it by hand."
        )
