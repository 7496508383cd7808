"""Disk, memory, open files, and where files are written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from ser.doctor.findings import Finding

GIGABYTE = 1024**3
#: Free gigabytes below which a retraining fails, and below which it soon will.
LEAST_DISK, ENOUGH_DISK = 1.0, 5.0
#: And of memory: a training takes one to two.
LEAST_MEMORY, ENOUGH_MEMORY = 0.7, 2.0
#: Open files: a server with a few hundred streams needs this many.
ENOUGH_FILES = 1024


def disk(root: Path) -> Iterator[Finding]:
    """Free space where the project, DVC's cache and temporary files lie; each disk once."""
    places = {
        "project": root,
        # Its own default; a cache that is set elsewhere is DVC's matter.
        "DVC's cache": root / ".dvc" / "cache",
        "temporary files": Path(tempfile.gettempdir()),
    }
    seen: set[int] = set()
    for name, place in places.items():
        if not place.exists() or (device := place.stat().st_dev) in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(place).free / GIGABYTE
        found = f"{free:.1f} GB free for {name} ({place})"
        if free >= ENOUGH_DISK:
            yield Finding("Disk", "ok", found)
        else:
            remedy = "Make room; `dvc gc --workspace --all-commits` drops what no commit needs."
            yield Finding("Disk", "bad" if free < LEAST_DISK else "warn", found, remedy)


def writable(root: Path) -> Iterator[Finding]:
    """Whether this user may write where the work is done."""
    for name, place in (("project", root), ("TMPDIR", Path(tempfile.gettempdir()))):
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            remedy = f"Give this user write access to {place}, or set TMPDIR."
            yield Finding("Writing", "bad", f"{name}: {error.strerror} ({place})", remedy)
            return
    yield Finding("Writing", "ok", "the project and TMPDIR can be written")


def memory(root: Path) -> Iterator[Finding]:
    """Memory that is free now."""
    free = psutil.virtual_memory().available / GIGABYTE
    found = f"{free:.1f} GB free"
    if free >= ENOUGH_MEMORY:
        yield Finding("Memory", "ok", found)
    else:
        remedy = "End other work, or train with fewer members (model.ensemble.members)."
        yield Finding("Memory", "bad" if free < LEAST_MEMORY else "warn", found, remedy)


def open_files(root: Path) -> Iterator[Finding]:
    """How many files a process may have open; not asked on Windows."""
    if os.name == "nt":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= ENOUGH_FILES or soft == resource.RLIM_INFINITY:
        yield Finding("Open files", "ok", f"{soft} at once")
    else:
        remedy = f"ulimit -n {min(max(hard, soft), 4096)}, before `ser serve`."
        yield Finding("Open files", "warn", f"{soft} at once", remedy)
