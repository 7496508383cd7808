"""A small file that holds much: what is decoded counts, too."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

from ser.params.server import LimitsParams, ServeParams
from ser.serve.app import create_app
from ser.serve.workers.generation import Generation, Served
from ser.serve.workers.pool import Pool
from support.state import state_of


def silence(seconds: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(8_000 * seconds), 8_000, format="FLAC")
    return buffer.getvalue()


def answer(path: str, files: list[tuple[str, bytes]], **limits: float) -> dict[str, Any]:
    """What a server with decoders, and with a model that has no processes, answers."""

    @asynccontextmanager
    async def running():
        yield

    async def ask() -> dict[str, Any]:
        state = state_of(ServeParams(limits=LimitsParams(**limits)))
        facts = {"takes_enrolment": True, "classes": ["neutral"]}
        served = Served(Path(), "0" * 64, facts=facts)
        state.pool.current = Generation(served, state.pool.limits, 1, lambda: None)
        await state.pool.start_decoders()
        transport = httpx.ASGITransport(create_app(state, running))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            found = (await client.post(path, files=files)).json()
        assert state.admission.active == 0
        await state.pool.stop()
        return found

    return asyncio.run(ask())


def test_samples_count_among_the_uploads_in_memory():
    data = silence(100)
    assert len(data) < 2**17
    found = answer("/v1/predict", [("file", data)], max_upload_megabytes=2.0)
    assert found["code"] == "overloaded"


def test_clips_last_no_longer_together_than_one_recording_may():
    clips = [("clips", silence(200))] * 2
    assert answer("/v1/enrol", clips, max_seconds=300.0)["code"] == "too_long_audio"


def test_a_decoder_that_ended_unasked_costs_no_recording():
    async def run() -> tuple[int, int]:
        pool = Pool(ServeParams(), 1)
        await pool.start_decoders()
        first = await pool._decoders.get()
        first.kill()
        await first.died.wait()
        other = await pool._decoders.get()
        for child in (first, other):
            pool._decoders.put_nowait(child)
        found = [await pool.decode(silence(1)) for _ in range(4)]
        async with asyncio.timeout(20):
            while pool._decoders.qsize() < 2:
                await asyncio.sleep(0.05)
        await pool.stop()
        return len(found), found[0][0]

    assert asyncio.run(run()) == (4, 8_000)
