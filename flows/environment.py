"""What the process environment must hold before Prefect, MLflow or DVC is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ser.io.web.loopback import bypass_proxies
from ser.io.web.quiet import QUIET, set_quiet


def set_defaults(root: Path) -> None:
    """Set what the user has not set; call before importing Prefect."""
    set_quiet()
    os.environ.setdefault("PREFECT_HOME", str(root / ".prefect"))
    bypass_proxies()


def command_environment() -> dict[str, str]:
    """The environment of a stage: `python` is the interpreter that runs the flow."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **QUIET, "PATH": path}
