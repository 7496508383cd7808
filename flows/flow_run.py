"""How a flow run appears in Prefect: a name that says what happened, and tags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from flows.processes.lock import RetrainingUnderWay
from flows.processes.server import prefect_ui
from flows.request import Request
from ser.errors import SerError
from ser.io.tracking.lineage import FLOW_RUN, FLOW_RUN_NAME, FLOW_RUN_URL
from ser.params import Params


@contextmanager
def refusal_named() -> Iterator[None]:
    """Name the flow run after its time where what it is asked for is refused."""
    try:
        yield
    except SerError:
        with suppress(PrefectException, HTTPError):
            if run := _current():
                _update(run, f"{_when(run)}refused", ["outcome:failed"])
        raise


@contextmanager
def named(project: Path, params: Params, request: Request) -> Iterator[None]:
    """Name the flow run after its time, its model and, where it fails, its failure."""
    _announce(project, params, request)
    try:
        yield
    except RetrainingUnderWay:
        conclude("skipped, another is under way", "outcome:skipped")
        raise
    except Exception as error:
        stage = getattr(error, "stage", "")
        # The error that is raised says more than a server that is away.
        with suppress(PrefectException, HTTPError):
            conclude(f"failed in {stage}" if stage else "failed", "outcome:failed")
        raise


def _announce(project: Path, params: Params, request: Request) -> None:
    """Name the run, and let what it starts know it."""
    run = _current()
    if run is None:
        return
    model = request.values.get("model.name", params.model.name)
    os.environ[FLOW_RUN] = str(run.id)
    os.environ[FLOW_RUN_URL] = f"{prefect_ui(project)}/runs/flow-run/{run.id}"
    others = [name for name in request.values if name != "model.name"]
    own = f" with {', '.join(f'{name} {request.values[name]}' for name in others[:2])}"
    own += f" and {len(others) - 2} more" if len(others) > 2 else ""
    name = f"{_when(run)}{model}{own if others else ''}"
    os.environ[FLOW_RUN_NAME] = name
    corpora = request.values.get("data.corpora", params.data.corpora)
    tags = [f"model:{model}", *(f"corpus:{corpus}" for corpus in corpora)]
    if request.values:
        tags.append("overrides")
    if request.dry_run:
        tags.append("dry-run")
    _update(run, name, tags)


def _when(run: FlowRun) -> str:
    """The time that a tick was scheduled for, else when it began."""
    since = run.expected_start_time or run.start_time
    return f"{since.astimezone():%Y-%m-%d %H:%M} · " if since else ""


def conclude(outcome: str, *tags: str) -> None:
    """Add what happened to the flow run's name."""
    run = _current()
    if run is not None:
        _update(run, f"{run.name} · {outcome}", tags)


def name_after(outcome: str) -> None:
    """Name a flow run that has no model of its own after its time and what it found."""
    run = _current()
    if run is not None:
        _update(run, f"{_when(run)}{outcome}", ())


def _current() -> FlowRun | None:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    with get_client(sync_client=True) as client:
        return client.read_flow_run(context.flow_run.id)


def _update(run: FlowRun, name: str, tags: Iterable[str]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(run.id, name=name, tags={*run.tags, *tags})
