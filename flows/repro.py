"""`make repro`: `dvc repro` that waits for a retraining or another DVC command to end."""

from __future__ import annotations

import signal
import sys

from flows.processes.environment import begin
from flows.processes.lock import hold, under_way
from flows.stages import repro
from ser.output import INTERRUPTED


def main() -> int:
    """The exit status of `dvc repro`, whose options are passed on."""
    root = begin()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if facts := under_way(root):
            print(f"Waits for the retraining of process {facts['pid']} …", file=sys.stderr)
        with hold(root, wait=True):
            return repro(root, sys.argv[1:])
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
