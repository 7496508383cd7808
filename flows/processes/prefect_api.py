"""Prefect's REST API, asked without importing Prefect, which takes two seconds."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import httpx

from ser.errors import StageError

#: Seconds in which a server must answer; one on a busy machine is there at once, but slow.
TIMEOUT = httpx.Timeout(20.0, connect=5.0)
POOL = "default"
TICKS = {"name": {"any_": ["retrain"]}}
FLOWS = {"name": {"any_": ["retrain", "monitor"]}}
STATES = (
    *("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"),
    *("COMPLETED", "FAILED", "CRASHED", "CANCELLED"),
)


def post(url: str, path: str, body: object, *, may_exist: bool = False) -> Any:
    """The answer to a POST, None for an empty one; raises StageError where the server is away or
    refuses.

    url : of the API, which ends in /api. may_exist : what is to be created, as it may be there.
    """
    try:
        answer = httpx.post(f"{url}/{path}", json=body, headers=_headers(), timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise StageError(f"Prefect's server at {url} does not answer ({error}).") from error
    if answer.is_error and not (may_exist and answer.status_code == httpx.codes.CONFLICT):
        raise StageError(
            f"Prefect's server at {url} refuses {path} ({answer.status_code}: {answer.text[:200]})."
        )
    return answer.json() if answer.content else None


def delete(url: str, path: str) -> None:
    """Delete what is there; raises StageError where the server is away or refuses."""
    try:
        answer = httpx.delete(f"{url}/{path}", headers=_headers(), timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise StageError(f"Prefect's server at {url} does not answer ({error}).") from error
    if answer.is_error and answer.status_code != httpx.codes.NOT_FOUND:
        raise StageError(f"Prefect's server at {url} refuses {path} ({answer.status_code}).")


def workers(url: str) -> list[dict[str, Any]]:
    """The workers of the pool: name, status, last_heartbeat_time …"""
    return list(post(url, f"work_pools/{POOL}/workers/filter", {}))


def last_ticks(url: str, n: int) -> list[dict[str, Any]]:
    """The last flow runs that have begun, or were to begin and did not; newest first."""
    # Without the states the runs that are scheduled ahead come first.
    begun = [state for state in STATES if state != "SCHEDULED"]
    body = {"sort": "EXPECTED_START_TIME_DESC", "limit": n, **_runs(begun)}
    return list(post(url, "flow_runs/filter", body))


def next_tick(url: str) -> dict[str, Any] | None:
    """The flow run that is due next, by the schedule or by a retry."""
    body = {"sort": "EXPECTED_START_TIME_ASC", "limit": 1, **_runs(["SCHEDULED"])}
    return next(iter(post(url, "flow_runs/filter", body)), None)


def crash_scheduled(url: str, message: str) -> None:
    """Mark flow runs of deployments as crashed that seem to go on; for a server without worker."""
    seeming = {**_runs(["PENDING", "RUNNING", "CANCELLING"]), "flows": FLOWS}
    seeming["flow_runs"]["deployment_id"] = {"is_null_": False}
    for run in post(url, "flow_runs/filter", seeming):
        state = {"type": "CRASHED", "name": "Crashed", "message": message}
        post(url, f"flow_runs/{run['id']}/set_state", {"state": state, "force": True})


def deployments(url: str, flows: object = FLOWS) -> list[dict[str, Any]]:
    """The deployments of these flows: name, paused, schedules …"""
    return list(post(url, "deployments/filter", {"flows": flows}))


def _runs(states: Sequence[str]) -> dict[str, Any]:
    return {"flows": TICKS, "flow_runs": {"state": {"type": {"any_": list(states)}}}}


def _headers() -> dict[str, str]:
    """As Prefect's own client reads them."""
    if auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"}
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}
