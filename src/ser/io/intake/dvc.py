"""DVC, as a command and as the files it writes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from ser.errors import SerError, way_out
from ser.files import hash_files, write_text

#: Pattern in an error of DVC's -> the way out, where DVC names none.
WAYS_OUT = {
    r"not a git repository|not tracked by any supported SCM": (
        "Run `git init`, or use DVC without Git: `dvc config core.no_scm true`."
    ),
    r"not inside of a DVC repository": (
        "Run `dvc init`, or `dvc init --no-scm` where there is no Git."
    ),
    r"[Uu]nable to acquire lock|is busy": (
        "Another DVC command works here. Wait for it, or end it, then try again."
    ),
    r"config(uration)? (file )?error": "Mend .dvc/config, or .dvc/config.local beside it.",
    r"possible merge conflicts": "Resolve the conflict in that file, then try again.",
}
PARAMS, LOCK = "params.yaml", "dvc.lock"
#: dvc.lock as it was when it was last whole.
WHOLE = Path(".ser/dvc.lock")
#: Looks at a dvc.lock that is cut short, and seconds between two.
LOOKS, PAUSE = 4, 0.5
MARKERS = re.compile(r"^(<<<<<<<|=======|>>>>>>>)( |$)", re.MULTILINE)


def folder_md5(folder: Path) -> str:
    """The hash that DVC gives a folder as it lies there: `….dir`, 36 characters."""
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    md5 = hash_files(files, "md5")
    # DVC's own listing, byte for byte: see the `.dir` objects in its cache.
    by_parts = sorted(md5, key=lambda file: file.split("/"))
    listing = [{"md5": md5[file], "relpath": file} for file in by_parts]
    return f"{hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest()}.dir"


def locked_stages(root: Path) -> dict[str, Any]:
    """Stages that have run in this project before, here or elsewhere, as DVC recorded them.

    Raises SerError where dvc.lock is not as DVC writes it.
    """
    lock = root / "dvc.lock"
    if not lock.exists():
        return {}
    stages = (read_yaml(lock) or {}).get("stages") or {}
    if not (isinstance(stages, dict) and all(map(_is_stage, stages.values()))):
        raise SerError(f"{lock} is not as DVC writes it. {_restore(lock)}")
    return stages


def locked_outs(root: Path) -> dict[str, str]:
    """Path -> hash of each out of dvc.lock, in the order in which the stages run."""
    stages = locked_stages(root).values()
    return {out["path"]: str(out["md5"]) for stage in stages for out in stage.get("outs", [])}


def tracked_md5(root: Path, path: Path) -> str | None:
    """The hash that `<path>.dvc` holds, else dvc.lock for a stage's out; None if neither does.

    A folder's ends in `.dir`. A stage reads the hash of what it depends on; its own outs are locked
    after it ended.
    """
    tracker = tracker_of(root, path)
    if not tracker.exists():
        return locked_outs(root).get(path.as_posix())
    outs = (read_yaml(tracker) or {}).get("outs") or [{}]
    if not (isinstance(outs, list) and isinstance(outs[0], dict)):
        raise SerError(f"{tracker} is not as DVC writes it. {_restore(tracker)}")
    return str(outs[0]["md5"]) if "md5" in outs[0] else None


def tracker_of(root: Path, path: Path) -> Path:
    """`<path>.dvc`, in which DVC notes what it tracks."""
    return root / path.with_name(f"{path.name}.dvc")


def read_yaml(path: Path) -> dict[str, Any] | None:
    """A YAML file of DVC's or for DVC; raises SerError where it cannot be read as a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        if marker := MARKERS.search(text):
            line = text.count("\n", 0, marker.start()) + 1
            raise SerError(
                f"{path}, line {line}, has a marker of a merge conflict ({marker[1]}). "
                f"{_restore(path)}"
            )
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SerError(f"{path} cannot be read ({error}). {_restore(path)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        raise SerError(f"{path}{where} is not valid YAML. {_restore(path)}") from error
    if not isinstance(content, dict | None):
        raise SerError(f"{path} holds no mapping. {_restore(path)}")
    return content


def check_files(root: Path) -> None:
    """Raise SerError, which names the file, where one that DVC reads holds a merge conflict."""
    names = (PARAMS, "dvc.yaml", "dvc.lock")
    for path in (*(root / name for name in names), *(root / "data" / "raw").glob("*.dvc")):
        if path.exists():
            read_yaml(path)


def mend_lock(root: Path) -> str:
    """Put dvc.lock back where a kill cut it short; what was done, "" where it is whole.

    DVC writes it in place. Call it before a stage runs: a whole one is remembered. The stage that
    was written is taken from DVC's cache then, or runs once more.
    """
    lock, kept = root / LOCK, root / WHOLE
    # DVC may be writing it.
    for _ in range(LOOKS):
        if not _is_torn(root):
            if lock.is_file():
                write_text(lock.read_text(encoding="utf-8", errors="replace"), kept)
            return ""
        time.sleep(PAUSE)
    if kept.exists():
        write_text(kept.read_text(encoding="utf-8"), lock)
        return "dvc.lock was cut short by a kill: it is put back to what it was before that stage."
    lock.unlink()
    return "dvc.lock was cut short by a kill: it is made anew."


def _is_torn(root: Path) -> bool:
    """Whether dvc.lock ends where DVC does not end it: in nothing, or amid a line."""
    path = root / LOCK
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return not text.endswith("\n") and not MARKERS.search(text)


def add(root: Path, path: Path) -> None:
    """Put a folder under DVC: its content into the cache, its hash into `<path>.dvc`."""
    _run(root, "add", path)


def forget(root: Path, path: Path) -> None:
    """Take `<path>.dvc` and its line in .gitignore away; files and cache stay."""
    _run(root, "remove", tracker_of(root, path).relative_to(root))


def reason(output: str) -> str:
    """Why DVC failed, in its own words, in one line, with the way out."""
    lines = [line.strip() for line in output.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    # A file that it cannot parse is shown without the prefix.
    invalid = [line for line in lines if "is invalid" in line]
    message = next(iter((*errors, *invalid)), " ".join(output.split()))
    message = re.sub(r"^ERROR: (failed to reproduce '[^']*': )?", "", message)
    message = message[:400].rstrip(". ") or "it gave no reason"
    known = (w for sign, w in WAYS_OUT.items() if re.search(sign, message))
    return f"{message}. {next(known, '') or way_out(message)}".rstrip()


def _run(root: Path, verb: str, path: Path) -> None:
    check_files(root)
    done = subprocess.run(
        # Not --quiet: that hides its errors, too.
        [sys.executable, "-m", "dvc", verb, str(path)],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )
    if done.returncode:
        raise SerError(f"`dvc {verb} {path}` failed: {reason(done.stderr or done.stdout)}")


def _is_stage(stage: Any) -> bool:
    outs = stage.get("outs", []) if isinstance(stage, dict) else None
    return isinstance(outs, list) and all(
        isinstance(out, dict) and {"path", "md5"} <= out.keys() for out in outs
    )


def _restore(path: Path) -> str:
    if path.suffix == ".lock":
        return "Resolve it: `git checkout --ours dvc.lock`, then `dvc repro` brings it up to date."
    return f"Mend it by hand, or restore it: `git checkout {path.name}`."
