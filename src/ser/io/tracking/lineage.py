"""Who trained, where, and from which state of code and data."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

#: Files that the pipeline and DVC write into git's tree: to be committed, but no change of code.
RECORDS = (
    *("dvc.lock", "data/raw/.gitignore"),
    *("reports/headline.json", "reports/metrics.json", "reports/robustness.json"),
)
#: A difference that `git apply` takes, whatever the user has set for reading.
PLAIN = (
    *("--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)
#: Folders where a file that git does not track changes what a run makes.
CODE = ("src/", "flows/")
#: Prefect's flow run that started this process: its id, its name, and the address of its page.
FLOW_RUN, FLOW_RUN_NAME, FLOW_RUN_URL = "SER_FLOW_RUN", "SER_FLOW_RUN_NAME", "SER_FLOW_RUN_URL"


def lineage_tags(root: Path) -> dict[str, str]:
    """Who, where, and from which state of the code; empty facts are left out.

    The hash of dvc.lock is not among them: DVC writes it after the stage has ended.
    """
    tags = {
        "mlflow.user": user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _started_by(),
        "process.host": socket.gethostname(),
        "process.pid": str(os.getpid()),
        "dvc.exp.name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.exp.baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
        "flow.run": os.environ.get(FLOW_RUN, ""),
        "flow.name": os.environ.get(FLOW_RUN_NAME, ""),
        "flow.url": os.environ.get(FLOW_RUN_URL, ""),
        "machine.processor": processor(),
        "machine.cores": str(os.cpu_count() or ""),
        **git_revision(root),
    }
    return {tag: value for tag, value in tags.items() if value}


def git_revision(root: Path) -> dict[str, str]:
    """`mlflow.source.git.commit` and `git.dirty` ("true" where `git_diff` is not empty), or {}."""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = git(root, "rev-parse", "HEAD").strip()
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
    new = [f":(literal){path}" for status, path in changed if status == "??"]
    index = root / git(root, "rev-parse", "--git-path", "index").strip()
    with TemporaryDirectory() as folder:
        # In a copy of git's index, files may be added that the user has not added.
        copy = Path(folder) / "index"
        if index.exists():
            # With its time, by which git finds files that changed in the moment of its writing.
            shutil.copy2(index, copy)
        if new:
            git(root, "add", "--intent-to-add", "--", *new, index=copy)
        paths = [f":(literal){path}" for _, path in changed]
        diff = git(root, "diff", *PLAIN, "HEAD", "--", *paths, index=copy)
        return os.fsencode(diff)


def uncommitted(root: Path) -> tuple[str, ...]:
    """Files that a clone needs to have this very model, and that are not committed yet.

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
    """(status, path below `root`) of each file that differs from the commit, but ignored ones."""
    prefix = git(root, "rev-parse", "--show-prefix").strip()
    listed = git(
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


def git(root: Path, *arguments: str, index: Path | None = None, given: bytes = b"") -> str:
    """What `git ARGUMENTS` prints in `root`; `given` is its stdin, `index` another index.

    Raises OSError where there is no git, CalledProcessError where it fails.
    """
    # Without locks: reading a status may write git's index, which another process may be writing.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, input=given, check=True, capture_output=True, env=environment)
    return os.fsdecode(done.stdout)


def _started_by() -> str:
    """What a list of runs shows as their source."""
    if flow := os.environ.get(FLOW_RUN):
        return f"flow {flow}"
    if experiment := os.environ.get("DVC_EXP_NAME"):
        return f"dvc exp {experiment}"
    return Path(sys.argv[0]).stem


def processor() -> str:
    """The processor's model name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def user() -> str:
    """Who runs this process."""
    # In a container the uid may have no name.
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.getuid())
