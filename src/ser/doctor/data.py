"""The project's files: git, params.yaml, corpora, DVC."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ser.doctor.findings import Finding


def git(root: Path) -> Iterator[Finding]:
    """Whether a run can record its commit."""
    if shutil.which("git") is None:
        yield Finding("git", "bad", "is not installed", "Install git: runs record their commit.")
        return
    head = _git(root, "rev-parse", "--short", "HEAD")
    if head.returncode:
        remedy = "git init && git add -A && git commit -m 'first', or clone the repository."
        yield Finding("git", "warn", "no commit here: runs cannot name theirs", remedy)
        return
    changed = len(_git(root, "status", "--porcelain").stdout.splitlines())
    found = f"commit {head.stdout.strip()}, {changed or 'no'} changed file{'s' * (changed != 1)}"
    yield Finding("git", "ok", found)


def params(root: Path) -> Iterator[Finding]:
    """params.yaml, and the corpora that it names."""
    from ser.corpora.catalogue import check_present
    from ser.params import load_params

    chosen = load_params(root / "params.yaml")
    named = ", ".join(chosen.data.corpora)
    yield Finding("params.yaml", "ok", f"model {chosen.model.name}, corpora {named}")
    # The embedded corpus is made by the pipeline.
    check_present(root, tuple(c for c in chosen.data.corpora if c != "synthetic"))
    check_present(root, chosen.gate.corpora, key="gate.corpora")
    yield Finding("Corpora", "ok", named)


def dvc(root: Path) -> Iterator[Finding]:
    """DVC's own files, and where copies of the data go."""
    from ser.io.intake.dvc import check_files

    if not (root / ".dvc" / "config").is_file():
        yield Finding("DVC", "bad", "no .dvc/config here", "dvc init")
        return
    check_files(root)
    lines = _run(root, sys.executable, "-m", "dvc", "config", "--list").stdout.splitlines()
    settings = dict(line.partition("=")[::2] for line in lines)
    name = settings.get("core.remote")
    if name is None:
        remedy = "dvc remote add --default store PATH_OR_URL, then dvc push"
        yield Finding("DVC", "ok", f"no remote: the data is on this machine alone ({remedy})")
        return
    url = settings.get(f"remote.{name}.url", "")
    if "://" not in url and not (root / ".dvc" / url).resolve().is_dir():
        remedy = "Mount it, or name another: dvc remote modify"
        yield Finding("DVC", "bad", f"the remote {name} is not here: {url}", remedy)
        return
    yield Finding("DVC", "ok", f"remote {name}, {url} (not asked: nothing is sent)")


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(root, "git", *words)


def _run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
