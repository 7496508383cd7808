"""What makes a flow run's state true after a process was killed.

A flow run that a worker started ends with it, and a witness (`python supervision.py RUN`) records
its end where nobody else does: its state is then Crashed within seconds. Where the whole machine
goes down, only the heartbeat is left: the server marks a run whose heartbeat stays away.
Whoever holds the project's lock may mark its other runs: none of them is alive.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

#: Set by whoever starts a flow run in a process of its own: a worker, or `Flow.serve`.
STARTED_BY_WORKER = "PREFECT__FLOW_RUN_ID"
#: The file descriptor that a worker reads from.
STDERR = 2
#: Seconds between two looks at the worker.
LOOK = 1.0
#: Seconds that a flow run may take to record its end; then it is killed.
GRACE = 40.0
#: Seconds that the witness leaves for others to record a run's end, and until it gives up where
#: no server answers.
FIRST, LIMIT = 2.0, 50
AUTOMATION = "retrain: a run without heartbeat has crashed"
#: Seconds without a heartbeat, of which prefect.yaml asks for one in 30.
SILENCE = 120
MESSAGE = "Its process is gone: it was killed, its worker was stopped, or its machine went down."


def supervise() -> None:
    """Where a worker started this process: end soon after it, and have our own end recorded."""
    run = os.environ.get(STARTED_BY_WORKER)
    if run is None:
        return
    # The writing end closes with this process, and not before.
    reader, _ = os.pipe()
    witness = subprocess.Popen(
        [sys.executable, "-P", __file__, run],
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A signal to the flow run's process group must not end the witness.
        start_new_session=True,
    )
    os.close(reader)
    threading.Thread(target=_watch, args=(os.getppid(), witness), daemon=True).start()


def _watch(parent: int, _witness: subprocess.Popen[bytes]) -> None:
    while os.getppid() == parent and not _is_unread(STDERR):
        time.sleep(LOOK)
    # Prefect's handler raises in the main thread, and the run is recorded as crashed.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_unread(stream: int) -> bool:
    """Whether the stream is a pipe without a reader: the worker ended before the watch began."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def witness(run: UUID) -> None:
    """Record the flow run as crashed when its process, which holds our stdin, has ended.

    A worker that is stopped kills its flow runs without waiting for them, and a killed one cannot
    record anything.
    """
    # What ends the flow run may be meant for all processes around it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    signal.alarm(LIMIT)
    time.sleep(FIRST)

    # Not before: a witness that waits costs next to nothing.
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
        # Not one that waits for a retry, or is paused: that needs no process.
        if state is not None and (state.is_running() or state.is_pending()):
            client.set_flow_run_state(run, Crashed(message=MESSAGE), force=True)


def crash_dead_runs(root: Path) -> None:
    """Mark other runs of this project as crashed; call it in a run that holds its lock."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.client.schemas.objects import StateType
    from prefect.context import FlowRunContext
    from prefect.states import Crashed

    from ser.io.web.loopback import is_loopback

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    own = context.flow_run
    ours = FlowFilter.model_validate({"id": {"any_": [own.flow_id]}})
    states = [StateType.RUNNING, StateType.PENDING]
    running = FlowRunFilter.model_validate({"state": {"type": {"any_": states}}})
    with get_client(sync_client=True) as client:
        # A path names a project on one machine only.
        local = str(root) if is_loopback(client.api_url.host) else None
        for run in client.read_flow_runs(flow_filter=ours, flow_run_filter=running):
            if run.id != own.id and _is_of(run, own, local):
                client.set_flow_run_state(run.id, Crashed(message=MESSAGE), force=True)


def _is_of(run: FlowRun, own: FlowRun, root: str | None) -> bool:
    if run.deployment_id is not None:
        return run.deployment_id == own.deployment_id
    return root is not None and run.parameters.get("root") == root


def watch_heartbeats() -> None:
    """Have the server mark scheduled runs whose heartbeat stays away; does so once."""
    if STARTED_BY_WORKER not in os.environ:
        return
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    with suppress(ValueError):
        # Called outside a coroutine, Prefect runs it here and now.
        Automation.read(name=AUTOMATION)  # type: ignore[unused-coroutine]
        return
    names = ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling")
    states = {f"prefect.flow-run.{name}" for name in names}
    automation = Automation(
        name=AUTOMATION,
        description="The machine that it ran on went down; see flows/processes/supervision.py.",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.role": "flow",
                "prefect.resource.name": ["retrain", "monitor"],
            },
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *states},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=MESSAGE)],
    )
    automation.create()


if __name__ == "__main__":
    witness(UUID(sys.argv[1]))
