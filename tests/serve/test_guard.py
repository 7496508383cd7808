"""What the guard counts, whatever becomes of a request."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI

from ser.params.server import ServeParams
from ser.serve.interfaces.admission import Admission
from ser.serve.interfaces.guard import Guard
from ser.serve.metrics import Metrics
from ser.serve.state import State
from ser.serve.voices import Profiles
from ser.serve.workers.pool import Pool


@pytest.fixture
def state() -> State:
    params = ServeParams()
    profiles = Profiles(Fernet.generate_key(), seconds=60)
    admission = Admission(params.limits)
    return State(params, Pool(params, 1), admission, Metrics(), profiles, None, None)


def test_a_fault_is_counted_among_the_requests(state):
    app = FastAPI()

    @app.get("/fault")
    async def fault() -> Any:
        raise ZeroDivisionError

    async def ask() -> int:
        transport = httpx.ASGITransport(Guard(app, state), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/fault")).status_code

    assert asyncio.run(ask()) == 500
    assert 'ser_requests_total{route="/fault",status="500"} 1.0' in state.metrics.text().decode()
