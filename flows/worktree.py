"""A second working tree of the project, on DVC's cache: the checkout stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvc.config import Config
from filelock import FileLock, Timeout

from flows import stages
from ser.errors import SerError, StageError
from ser.io.intake import dvc
from ser.io.intake.verify import cache_folder
from ser.io.tracking.address import WORKTREES
from ser.io.tracking.lineage import git, git_diff

#: Git's words where there is no repository, or no commit in it yet.
NO_COMMIT = ("not a git repository", "argument 'HEAD'", "revision 'HEAD'", "reference: HEAD")
#: Parameters that may name a file or folder of the user.
OWN_FILES = ("data.exclude", "encoder.name", "model.byol_s.weights")
#: How DVC brings files here: a copy of a large corpus takes minutes.
LINKS = ["reflink", "hardlink", "copy"]


@contextmanager
def worktree(
    root: Path,
    name: str,
    *,
    commit: str = "HEAD",
    diff: bytes = b"",
    files: Mapping[str, str] | None = None,
) -> Iterator[Path]:
    """The project at `commit` with `diff` applied, in a folder that is removed in the end.

    DVC works there on the cache and the remotes of `root`; MLflow's store is that of `root`, too.
    diff : as `git_diff` gives it. files : texts by path, written last.
    Raises StageError where there is no such commit, or the diff does not apply.
    """
    folder = root.resolve() / WORKTREES / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StageError(f"Another process works in {folder}; wait for it, or end it.") from error
    try:
        # The tree of a process that was killed.
        _remove(root, folder)
        tree = _check_out(root, folder, commit, diff)
        for path, text in (files or {}).items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text, encoding="utf-8")
        _share_cache(root, tree)
        yield tree
    finally:
        _remove(root, folder)
        lock.release()


@contextmanager
def as_checked_out(root: Path, name: str) -> Iterator[Path]:
    """A worktree in the state of the checkout: code, parameters, dvc.lock and what DVC holds."""
    lock = root / "dvc.lock"
    files = {"dvc.lock": lock.read_text(encoding="utf-8")} if lock.exists() else {}
    with worktree(root, name, diff=difference(root), files=files) as tree:
        # Stages make the outs again that the cache does not have.
        stages.run(tree, "checkout", "--allow-missing")
        # Scores are Git's, and may not be committed.
        for path in stages.missing_outs(tree):
            if (root / path).is_file():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / path, tree / path)
        yield tree


def link_own_files(root: Path, tree: Path) -> None:
    """Link files of the user that the tree's params.yaml names and neither Git nor DVC holds."""
    params = dvc.read_yaml(tree / dvc.PARAMS) or {}
    for key in OWN_FILES:
        name: Any = params
        for part in key.split("."):
            name = name.get(part) if isinstance(name, Mapping) else None
        if isinstance(name, str) and (root / name).exists() and not (tree / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).symlink_to((root / name).resolve())


def hide_overrides(tree: Path) -> None:
    """Keep a params.yaml that a request will change out of Git's difference.

    What was set for the run is no code that was not committed. One that differs already stays in.
    """
    with suppress(OSError, subprocess.CalledProcessError):
        if not git(tree, "status", "--porcelain", "--", dvc.PARAMS):
            git(tree, "update-index", "--assume-unchanged", dvc.PARAMS)


def difference(root: Path) -> bytes:
    """`git_diff`; raises StageError where there is no Git, or no commit."""
    try:
        return git_diff(root)
    except (OSError, subprocess.CalledProcessError) as error:
        raise _unmade(root, "HEAD", error) from error


def _check_out(root: Path, folder: Path, commit: str, diff: bytes) -> Path:
    try:
        tree = folder / git(root, "rev-parse", "--show-prefix").strip()
        # No hooks: DVC's would check its files out, too.
        bare = ("-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--force")
        git(root, *bare, str(folder), commit)
        if diff:
            git(tree, "apply", "--whitespace=nowarn", "-", given=diff)
    except (OSError, subprocess.CalledProcessError) as error:
        raise _unmade(root, commit, error) from error
    return tree


def _share_cache(root: Path, tree: Path) -> None:
    own, theirs = tree / ".dvc" / "config.local", root / ".dvc" / "config.local"
    if theirs.exists():
        shutil.copyfile(theirs, own)
    # Paths in DVC's settings are relative to the file that they stand in; these are absolute.
    theirs_resolved = Config(dvc_dir=str(root / ".dvc"))
    with Config(dvc_dir=str(tree / ".dvc")).edit("local") as settings:
        settings["remote"] = theirs_resolved["remote"]
        if default := theirs_resolved["core"].get("remote"):
            settings["core"]["remote"] = default
        settings["cache"] |= {"dir": str(cache_folder(root).resolve()), "type": LINKS}


def _remove(root: Path, folder: Path) -> None:
    # Not `prune`: that forgets the user's own worktrees on a disk that is not here now.
    with suppress(OSError, subprocess.CalledProcessError):
        git(root, "worktree", "remove", "--force", "--force", str(folder))
    shutil.rmtree(folder, ignore_errors=True)


def _unmade(root: Path, commit: str, error: OSError | subprocess.CalledProcessError) -> SerError:
    if isinstance(error, OSError):
        return StageError(f"Git cannot be started ({error}); it makes the worktree. Install it.")
    words = os.fsdecode(error.stderr).strip().splitlines()
    reason = words[-1].removeprefix("fatal: ") if words else "it gave no reason"
    if any(sign in os.fsdecode(error.stderr) for sign in NO_COMMIT):
        return StageError(
            f"{root} has no Git commit, of which a worktree could be made: `git init`, then add "
            "and commit the project. A run that leaves the checkout as it is needs one."
        )
    if "apply" in error.cmd:
        return StageError(
            f"The stored difference does not apply to commit {commit[:12]} ({reason})."
        )
    return StageError(
        f"Git has no commit {commit[:40]} here ({reason}). Bring it: `git fetch --all`."
    )
