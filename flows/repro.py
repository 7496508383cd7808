"""`make repro`: `dvc repro` that waits for a retraining, and that a retraining waits for."""

from __future__ import annotations

import subprocess
import sys

from flows.processes.environment import begin, command_environment
from flows.processes.lock import hold, under_way


def main() -> int:
    """The exit status of `dvc repro`, whose options are passed on."""
    root = begin()
    if facts := under_way(root):
        print(f"Waits for the retraining of process {facts['pid']} …", file=sys.stderr)
    try:
        with hold(root, wait=True):
            command = [sys.executable, "-m", "dvc", "repro", *sys.argv[1:]]
            return subprocess.run(command, cwd=root, env=command_environment()).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
