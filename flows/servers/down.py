"""`ser down`: end what `ser up` has started, and wait until all of it is gone."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from flows.processes import note
from flows.processes.environment import begin, failed
from flows.processes.lock import under_way
from flows.processes.marks import marked
from flows.processes.note import Note
from flows.servers.services import MARK, end_left_over, left_over
from ser.errors import SerError, StageError

#: Seconds for the worker, its flow runs and then the servers.
PATIENCE = 120.0


def main() -> int:
    """End the servers and the worker of `make up`, and wait until all of it is gone."""
    argparse.ArgumentParser(prog="ser down", description=main.__doc__).parse_args()
    root = begin()
    try:
        _end(root)
    except SerError as error:
        return failed(error)
    except KeyboardInterrupt:
        return 130
    return 0


def _end(root: Path) -> None:
    running = note.running(root)
    mark = note.read(root).mark
    left = left_over(mark)
    if running is None and not left:
        print("Nothing runs here.")
        return
    if running is None:
        print("The supervisor was killed; what it left behind ends now.", flush=True)
        end_left_over(mark)
    else:
        _announce(root, running)
        os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    # Not its note: that is withdrawn a moment before it ends.
    while left_over(mark) or (running and note.is_process(running.pid, running.started)):
        if time.monotonic() > deadline:
            pids = ", ".join(map(str, left_over(mark))) or str(note.read(root).pid)
            raise StageError(f"Still there after {PATIENCE:.0f} s: processes {pids}; end them.")
        time.sleep(0.1)
    parts = (
        "MLflow, Prefect, the server and the worker"
        if running and running.worker
        else "the servers"
    )
    print(f"Ended: {parts}, {len(left) + bool(running)} processes.")


def _announce(root: Path, running: Note) -> None:
    retraining = under_way(root)
    if retraining is None:
        return
    pid = retraining["pid"]
    if pid in [process.pid for process in marked(MARK, running.mark)]:
        print(
            f"A retraining is under way since {retraining['since']} (process {pid}): it is ended, "
            "too. Its flow run becomes Crashed; the next one goes on where it stopped.",
            flush=True,
        )
    else:
        print(
            f"A retraining that was started by hand is under way (process {pid}): it reports to "
            "this server and will fail.",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
