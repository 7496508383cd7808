"""Nothing phones home."""

from __future__ import annotations

import os

#: What the libraries read when they are imported.
QUIET = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


def set_quiet() -> None:
    """Switch off what the user has not switched on; call before importing MLflow or Prefect."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
