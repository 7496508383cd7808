"""`make repro`: `dvc repro` that waits for a retraining or another DVC command to end."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from flows.processes.environment import begin
from flows.processes.lock import hold, under_way
from flows.stages import repro
from ser.io.intake import dvc
from ser.output import INTERRUPTED

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """The exit status of `dvc repro`, whose options are passed on."""
    root = begin()
    for number in ENDINGS:
        signal.signal(number, _end)
    try:
        if facts := under_way(root):
            print(f"Waits for the retraining of process {facts['pid']} …", file=sys.stderr)
        with hold(root, wait=True):
            if mended := dvc.mend_lock(root):
                print(mended, file=sys.stderr)
            return repro(root, sys.argv[1:])
    except KeyboardInterrupt:
        return INTERRUPTED


def _end(_number: int, _frame: FrameType | None) -> None:
    """End once: the lock is held until DVC, and the stage that it runs, have ended."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
