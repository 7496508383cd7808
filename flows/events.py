"""Events for Prefect's automations: what became of a model, and drift.

`python -m flows.events KIND VERSION SUMMARY` emits one for a command that is no flow, where a
server runs; none is started for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from flows.processes import note
from flows.processes.environment import begin
from ser.errors import StageError
from ser.io.tracking.registry.versions import MODEL
from ser.output import one_line

if TYPE_CHECKING:
    from flows.report import Tick

#: Kind of notification -> its events in Prefect.
KINDS = {
    "promotion": ("ser.model.promoted",),
    "refusal": ("ser.model.refused",),
    "rollback": ("ser.model.rolled-back",),
    "drift": ("ser.model.drifted",),
    "failure": ("prefect.flow-run.Failed", "prefect.flow-run.Crashed"),
}
#: The label of an event of drift that says whether it starts a retraining.
RETRAIN = "ser.retrain"
#: The resource of our events.
RESOURCE = f"ser.model.{MODEL}"


def announce(tick: Tick) -> None:
    """Emit what became of the model; nothing where nothing was judged, or in a dry run."""
    if tick.request.dry_run:
        return
    if tick.verdict is not None:
        kind = "promotion" if tick.verdict.promote else "refusal"
        emit(kind, tick.summary, version=tick.version.version)
    if tick.rolled_back:
        emit("rollback", tick.rolled_back, version=tick.version.version)


def emit(
    kind: str, summary: str, *, labels: Mapping[str, str] | None = None, **payload: object
) -> None:
    """Emit the event of a kind of ours.

    summary : one line for a person, in notifications; labels : of the resource, for triggers.
    """
    from prefect.events import emit_event

    (name,) = KINDS[kind]
    emit_event(name, {**_resource(), **(labels or {})}, payload={"summary": summary, **payload})


def post(root: Path, kind: str, summary: str, **payload: object) -> None:
    """`emit` without Prefect's import, which takes seconds; nothing where no server runs.

    Raises StageError where a server does not take it.
    """
    running = note.running(root)
    url = os.environ.get("PREFECT_API_URL") or (running.prefect_api if running else "")
    if not url:
        return
    # Loads an HTTP client, which is not needed without a server.
    from flows.processes import prefect_api

    (name,) = KINDS[kind]
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": name,
        "resource": _resource(),
        "payload": {"summary": summary, **payload},
    }
    prefect_api.post(url.rstrip("/"), "events", [event])


def _resource() -> dict[str, str]:
    return {"prefect.resource.id": RESOURCE, "prefect.resource.name": MODEL}


def main() -> int:
    """Emit the event; that nobody is told is a line, and no failure of what was done."""
    kind, version, summary = sys.argv[1:]
    try:
        post(begin(), kind, summary, version=int(version))
    except StageError as error:
        print(f"Nobody is told: {one_line(str(error))}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
