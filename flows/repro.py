"""`make repro`: `dvc repro` that waits for a retraining, and that a retraining waits for."""

from __future__ import annotations

import signal
import sys

from flows.processes.environment import begin, command_environment
from flows.processes.guard import guards
from flows.processes.lock import hold, under_way

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """The exit status of `dvc repro`, whose options are passed on."""
    root = begin()
    if facts := under_way(root):
        print(f"Waits for the retraining of process {facts['pid']} …", file=sys.stderr)
    for number in ENDINGS:
        signal.signal(number, signal.default_int_handler)
    command = [sys.executable, "-m", "dvc", "repro", *sys.argv[1:]]
    try:
        with hold(root, wait=True), guards() as start:
            try:
                return start(command, cwd=root, env=command_environment()).wait()
            finally:
                # The lock is held until DVC, and the stage that it runs, have ended.
                for number in ENDINGS:
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
