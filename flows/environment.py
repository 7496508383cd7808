"""What the process environment must hold before Prefect, MLflow or DVC is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Nothing phones home, and no library prints what the user cannot act on.
QUIET = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
#: The server that a flow starts for itself where PREFECT_API_URL names none.
EPHEMERAL_SERVER = {
    # It logs tracebacks when it is stopped between two writes; the flow's result stands.
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # The default of 20 s is too short for a first start on two busy cores.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


def set_defaults(root: Path, *, ephemeral: bool = False) -> None:
    """Set what the user has not set; call before importing Prefect."""
    settings = {**QUIET, "PREFECT_HOME": str(root / ".prefect")}
    if ephemeral:
        settings |= EPHEMERAL_SERVER
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def command_environment() -> dict[str, str]:
    """The environment of a stage: `python` is the interpreter that runs the flow."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, **QUIET, "PATH": path}
