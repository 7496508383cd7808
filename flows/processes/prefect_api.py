"""Prefect's REST API, asked without importing Prefect, which takes two seconds."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any

import httpx

from ser.errors import StageError

#: Seconds in which a server must answer.
TIMEOUT = 20.0
POOL = "default"
FLOW = "retrain"


def post(url: str, path: str, body: object, *, may_exist: bool = False) -> Any:
    """The answer to a POST; raises StageError where the server is away or refuses.

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
    return answer.json()


def workers(url: str) -> list[dict[str, Any]]:
    """The workers of the pool: name, status, last_heartbeat_time …"""
    return list(post(url, f"work_pools/{POOL}/workers/filter", {}))


def _headers() -> dict[str, str]:
    """As Prefect's own client reads them."""
    if auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {b64encode(auth.encode()).decode()}"}
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}
