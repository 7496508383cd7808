"""A systemd user unit that starts the platform of this checkout with the machine."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

#: Variables for the unit alone, one NAME=value a line, such as PREFECT_API_URL.
ENVIRONMENT = Path(".ser/up.env")
#: Longer than a worker may take to end, and its flow runs to be recorded.
STOP_SECONDS = 120


def unit_name(root: Path) -> str:
    """Named after the folder, and unlike that of another folder of that name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", root.name)
    return f"ser-{name}-{hashlib.sha256(str(root).encode()).hexdigest()[:6]}.service"


def unit(root: Path) -> str:
    """The unit's text; its head says how it is installed."""
    name = unit_name(root)
    return f"""# {name}: MLflow, Prefect, the server and the worker of this checkout.
# Install it:
#   make down
#   mkdir -p ~/.config/systemd/user
#   .venv/bin/ser up --systemd > ~/.config/systemd/user/{name}
#   systemctl --user daemon-reload
#   systemctl --user enable --now {name}
#   loginctl enable-linger        # also while you are not logged in
# Its log: journalctl --user -u {name}
# Remove it: systemctl --user disable --now {name}
[Unit]
Description=Speech emotion recognition: servers and schedule of {_specifiers(str(root))}

[Service]
Type=exec
WorkingDirectory={_specifiers(str(root))}
# Where it exists: NAME=value lines, such as MLFLOW_TRACKING_URI or PREFECT_API_URL.
EnvironmentFile=-{_specifiers(str(root / ENVIRONMENT))}
ExecStart={_program(sys.executable)} -m flows.servers.up --foreground
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


def _program(text: str) -> str:
    """The first word of a command line, in which systemd puts no variables."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_specifiers(escaped)}"'
