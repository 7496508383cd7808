"""What the process environment must hold before Prefect, MLflow or DVC is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ser.io.web.loopback import bypass_proxies

#: Nothing phones home, and no library prints what the user cannot act on.
QUIET = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def set_defaults(root: Path) -> None:
    """Set what the user has not set; call before importing Prefect."""
    for name, value in {**QUIET, "PREFECT_HOME": str(root / ".prefect")}.items():
        os.environ.setdefault(name, value)
    bypass_proxies()


def command_environment() -> dict[str, str]:
    """The environment of a stage: `python` is the interpreter that runs the flow."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **QUIET, "PATH": path}
