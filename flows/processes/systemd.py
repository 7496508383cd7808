"""A systemd user unit that starts the platform of this checkout with the machine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: Variables for the unit alone, one NAME=value a line, such as PREFECT_API_URL.
ENVIRONMENT = Path(".ser/up.env")
#: Longer than a worker may take to end, and its flow runs to be recorded.
STOP_SECONDS = 120


def unit_name(root: Path) -> str:
    return f"ser-{re.sub(r'[^A-Za-z0-9_.-]', '-', root.name)}.service"


def unit(root: Path) -> str:
    """The unit's text; its head says how it is installed."""
    name = unit_name(root)
    return f"""# {name}: MLflow, Prefect and the worker of this checkout.
# Install it:
#   make down
#   mkdir -p ~/.config/systemd/user
#   .venv/bin/ser up --systemd > ~/.config/systemd/user/{name}
#   systemctl --user daemon-reload
#   systemctl --user enable --now {name}
#   loginctl enable-linger        # also while you are not logged in
# Look: `ser status`, `journalctl --user -u {name}`. Remove it: `systemctl --user disable --now`.
[Unit]
Description=Speech emotion recognition: servers and schedule of {_specifiers(str(root))}
After=network-online.target

[Service]
Type=exec
WorkingDirectory={_specifiers(str(root))}
# Where it exists: NAME=value lines, such as MLFLOW_TRACKING_URI or PREFECT_API_URL.
EnvironmentFile=-{_specifiers(str(root / ENVIRONMENT))}
ExecStart={_word(sys.executable)} -m flows.up --foreground
# The supervisor ends its parts in order; what is left after that is killed.
KillMode=mixed
TimeoutStopSec={STOP_SECONDS}
Restart=on-failure
RestartSec=10

[Install]
WantedBy=default.target
"""


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """One word of a command line, as systemd takes it apart."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_specifiers(escaped)}"'
