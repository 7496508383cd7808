"""Events for Prefect's automations: what became of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser.io.tracking.registry.versions import MODEL

if TYPE_CHECKING:
    from flows.report import Tick

#: Kind of notification -> its events in Prefect.
KINDS = {
    "promotion": ("ser.model.promoted",),
    "refusal": ("ser.model.refused",),
    "rollback": ("ser.model.rolled-back",),
    "failure": ("prefect.flow-run.Failed", "prefect.flow-run.Crashed"),
}
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


def emit(kind: str, summary: str, **payload: object) -> None:
    """Emit the event of a kind of ours. summary : one line for a person, in notifications."""
    from prefect.events import emit_event

    (name,) = KINDS[kind]
    resource = {"prefect.resource.id": RESOURCE, "prefect.resource.name": MODEL}
    emit_event(name, resource, payload={"summary": summary, **payload})
