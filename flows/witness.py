"""`python flows/witness.py RUN`: record a flow run as crashed if its process ends without a word.

A worker that is stopped kills its flow runs without waiting for them, and a killed one cannot
record anything. Its stdin is the lifeline of `flows.guard`; only the standard library is
imported until the flow run's process has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from uuid import UUID

#: Seconds in which whoever ended the run may record that himself.
FIRST = 2.0
#: Seconds until it gives up, where no server answers.
LIMIT = 50
MESSAGE = "Its process ended without a word: it was killed, or its worker was stopped."


def main(run: UUID) -> None:
    # What ends the flow run may be meant for all processes around it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 512):
        pass
    signal.alarm(LIMIT)
    time.sleep(FIRST)

    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
        # Not one that waits for a retry, or is paused: that needs no process.
        if state is not None and (state.is_running() or state.is_pending()):
            client.set_flow_run_state(run, Crashed(message=MESSAGE), force=True)


if __name__ == "__main__":
    main(UUID(sys.argv[1]))
