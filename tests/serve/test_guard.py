"""What the guard counts, whatever becomes of a request."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ser.params.server import ServeParams
from ser.serve.interfaces.guard import Guard
from ser.serve.state import State
from support.state import state_of

PAGE = "https://app.example.org"


@pytest.fixture
def state() -> State:
    return state_of(ServeParams(allowed_origins=(PAGE,)), token="secret")


def ask(state: State, app: FastAPI, method: str, **headers: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(Guard(app, state), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, "/path", headers=headers)

    return asyncio.run(run())


def test_a_fault_is_counted_among_the_requests(state):
    app = FastAPI()

    @app.get("/path")
    async def fault() -> Any:
        raise ZeroDivisionError

    assert ask(state, app, "GET", authorization="Bearer secret").status_code == 500
    assert 'ser_requests_total{route="/path",status="500"} 1.0' in state.metrics.text().decode()


@pytest.mark.parametrize(("origin", "allowed"), [(PAGE, PAGE), ("https://evil.example", None)])
def test_a_browser_lets_pages_of_allowed_origins_alone_read_answers(state, origin, allowed):
    app = FastAPI()

    @app.post("/path")
    async def answer() -> str:
        return "answer"

    header = "access-control-allow-origin"
    first = ask(state, app, "OPTIONS", origin=origin)
    assert first.headers.get(header) == allowed
    assert first.status_code == (204 if allowed else 401)
    then = ask(state, app, "POST", origin=origin, authorization="Bearer secret")
    assert then.headers.get(header) == allowed
    assert then.status_code == (200 if allowed else 403)
