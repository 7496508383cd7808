"""Python and its packages."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ser.doctor.findings import Finding

PACKAGE = "ser-platform"
LOCK = Path("requirements.lock")
#: What an extra is for.
EXTRAS = {
    "formats": "M4A, AAC and WebM",
    "vad": "voice activity by Silero",
    "insight": "timelines' exports, rooms, maps, explanations",
    "pretrained": "encoders of the Hugging Face hub",
    "egemaps": "openSMILE's functionals",
}
#: Packages that are named, of those that differ.
NAMED = 4


def python(root: Path) -> Iterator[Finding]:
    """The interpreter, and whether it is that of the project's own environment."""
    found = f"{platform.python_version()}, {sys.executable}"
    wanted = metadata(PACKAGE)["Requires-Python"] or ">=3.11"
    if platform.python_version() not in SpecifierSet(wanted, prereleases=True):
        remedy = f"Take Python {wanted}: rm -r .venv; make setup PYTHON=python3.12"
        yield Finding("Python", "bad", found, remedy)
        return
    own = root / ".venv"
    if own.is_dir() and Path(sys.prefix).resolve() != own.resolve():
        remedy = f"`source {own.name}/bin/activate`, unless another one is meant."
        yield Finding("Python", "warn", f"{found}: not the project's .venv", remedy)
        return
    yield Finding("Python", "ok", found)


def pins(root: Path) -> Iterator[Finding]:
    """Installed packages against the lock; without one, against what the package asks for."""
    if (root / LOCK).is_file():
        lines = (root / LOCK).read_text(encoding="utf-8").splitlines()
        wanted, of = [Requirement(line) for line in lines if line[:1].isalnum()], str(LOCK)
    else:
        wanted = [Requirement(line) for line in requires(PACKAGE) or [] if "extra ==" not in line]
        of = "what ser-platform asks for"
    missing, differing = [], []
    for one in wanted:
        if one.marker and not one.marker.evaluate():
            continue
        installed = _version(one.name)
        if installed is None:
            missing.append(one.name)
        elif not one.specifier.contains(installed, prereleases=True):
            differing.append(f"{one.name} {installed} instead of {str(one.specifier).strip('=')}")
    remedy = "rm .venv/.ready; make setup" if (root / LOCK).is_file() else f"pip install {PACKAGE}"
    if missing:
        yield Finding("Packages", "bad", f"missing: {_few(missing)}", remedy)
    if differing:
        yield Finding("Packages", "warn", f"not those of {of}: {_few(differing)}", remedy)
    if not missing and not differing:
        yield Finding("Packages", "ok", f"{len(wanted)} as in {of}")


def extras(root: Path) -> Iterator[Finding]:
    """Which extras are here; none is needed."""
    here: list[str] = []
    lacking: list[str] = []
    for extra, purpose in EXTRAS.items():
        wanted = [r for line in requires(PACKAGE) or [] if _is_of(r := Requirement(line), extra)]
        is_here = all(_version(one.name) for one in wanted)
        (here if is_here else lacking).append(extra if is_here else f"{extra} ({purpose})")
    absent = f"; not here: {', '.join(lacking)}" if lacking else ""
    found = f"{', '.join(here) or 'none'}{absent}"
    yield Finding("Extras", "ok", found)


def torch(root: Path) -> Iterator[Finding]:
    """The build of torch, and the threads that the shell asks for."""
    build = _version("torch")
    if build is None:
        return
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    yield Finding("torch", "ok", f"{build}, OMP_NUM_THREADS {threads}, {os.cpu_count()} cores")


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_of(one: Requirement, extra: str) -> bool:
    """Whether that extra alone asks for the package."""
    if one.marker is None or "extra" not in str(one.marker):
        return False
    try:
        return one.marker.evaluate({"extra": extra})
    except UndefinedEnvironmentName:
        return False


def _few(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
