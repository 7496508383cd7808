"""What the commands of `flows` share: their environment, and how they fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ser.io.web.loopback import bypass_proxies
from ser.io.web.quiet import QUIET, set_quiet
from ser.output import escape_unencodable, print_error

FAILED = 1


def begin() -> Path:
    """The project's root; sets what Prefect, MLflow and DVC read from the environment when they
    are imported, where the user has not set it."""
    escape_unencodable()
    root = Path.cwd()
    set_quiet()
    os.environ.setdefault("PREFECT_HOME", str(root / ".prefect"))
    # SQLite takes one writer at a time: two flow runs on a busy machine wait longer than Prefect's
    # ten seconds for each other.
    os.environ.setdefault("PREFECT_API_DATABASE_TIMEOUT", "60")
    bypass_proxies()
    return root


def failed(error: object) -> int:
    """Print the error in one line; the exit status."""
    print_error(error)
    return FAILED


def places(root: Path) -> tuple[Path, ...]:
    """Where a flow writes: the project, DVC's cache, and Prefect's database."""
    prefect = os.environ.get("PREFECT_HOME", root / ".prefect")
    return (root, root / ".dvc" / "cache", Path(prefect))


def command_environment() -> dict[str, str]:
    """The environment of a stage: `python` is the interpreter that runs the flow."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **QUIET, "PATH": path}
