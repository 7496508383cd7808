"""What the flow says to Prefect's automations: one event for what became of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.events import emit_event

from ser.io.tracking.registry.versions import MODEL

if TYPE_CHECKING:
    from flows.report import Tick

#: What a person can be notified of -> the events behind it.
KINDS = {
    "promotion": ("ser.model.promoted",),
    "refusal": ("ser.model.refused",),
    "rollback": ("ser.model.rolled-back",),
    "drift": ("ser.drift.found",),
    "failure": ("prefect.flow-run.Failed", "prefect.flow-run.Crashed"),
}
#: The resource of our events.
RESOURCE = f"ser.model.{MODEL}"


def announce(tick: Tick) -> None:
    """Emit what became of the model; nothing where nothing was judged, or in a dry run."""
    if tick.request.dry_run:
        return
    names = []
    if tick.verdict is not None:
        names.append(KINDS["promotion" if tick.verdict.promote else "refusal"][0])
    if tick.rolled_back:
        names.append(KINDS["rollback"][0])
    for name in names:
        rolled_back = name == KINDS["rollback"][0]
        emit(name, tick.rolled_back if rolled_back else tick.summary, version=tick.version.version)


def emit(name: str, summary: str, **payload: object) -> None:
    """summary : one line for a person, which notifications show."""
    resource = {"prefect.resource.id": RESOURCE, "prefect.resource.name": MODEL}
    emit_event(name, resource, payload={"summary": summary, **payload})
