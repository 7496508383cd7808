"""A party of a session and its worker: moved when it ends, bounded in what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ser.params.server import ServeParams
from ser.params.serving import StreamParams
from ser.serve.interfaces.channel import MOST_LOSSES, MOST_WAITING_FRAMES, Channel
from ser.serve.state import State
from ser.serve.workers.child import Child
from ser.serve.workers.generation import Generation, Served
from ser.serve.workers.wire import Gone
from support.state import state_of
from support.workers import ends_at_audio, holds, takes

FRAME = bytes(3_200)


async def generation(state: State, target: Callable[..., None], *, workers: int = 1) -> Generation:
    """A model's processes of that kind, none of which is started again."""
    made = Generation(Served(Path(), "0" * 64), state.pool.limits, workers, lambda: None)
    made.children = [Child(target) for _ in range(workers)]
    for child in made.children:
        await child.start()
    return made


def a_channel(state: State, kinds: list[str]) -> Channel:
    def came(_: Channel, events: list[dict[str, Any]]) -> None:
        kinds.extend(event["type"] for event in events)

    return Channel(state, "session.0", StreamParams(), came)


async def until(holds_now: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds_now():
            await asyncio.sleep(0.01)


def test_a_session_goes_on_where_its_former_worker_is_ended_before_its_utterance():
    async def run() -> list[str]:
        state, kinds = state_of(ServeParams()), []
        former = state.pool.current = await generation(state, holds)
        channel = a_channel(state, kinds)
        channel.open()
        await channel.send(FRAME)
        current = state.pool.current = await generation(state, takes)
        await former.retire(lambda: False, 0.2)
        await until(lambda: channel.taken == channel.sent)
        async with asyncio.timeout(20):
            for _ in range(40):
                await channel.send(FRAME)
        await until(lambda: channel.taken == channel.sent)
        channel.leave()
        await current.retire(lambda: True, 0.0)
        return kinds

    assert asyncio.run(run()) == ["lost"]


def test_a_question_to_a_worker_that_is_ended_has_no_answer():
    async def run() -> None:
        child = Child(holds)
        await child.start()
        asking = asyncio.create_task(child.ask({"op": "predict"}))
        await asyncio.sleep(0.1)
        child.end()
        async with asyncio.timeout(20):
            await asking

    with pytest.raises(Gone):
        asyncio.run(run())


def test_audio_that_ends_each_worker_ends_its_session_and_not_all_workers():
    async def run() -> int:
        state, kinds = state_of(ServeParams()), []
        own = state.pool.current = await generation(state, ends_at_audio, workers=MOST_LOSSES + 1)
        channel = a_channel(state, kinds)
        channel.open()
        await channel.send(FRAME)
        async with asyncio.timeout(20):
            await channel.closed.wait()
        with pytest.raises(Gone):
            await channel.send(FRAME)
        dead = sum(child.died.is_set() for child in own.children)
        await own.retire(lambda: True, 0.0)
        return dead

    assert asyncio.run(run()) == MOST_LOSSES


def test_tiny_frames_and_hours_of_silence_take_no_memory():
    async def run() -> tuple[int, int]:
        state, most = state_of(ServeParams()), 0
        state.pool.current = await generation(state, takes)
        channel = a_channel(state, [])
        channel.open()
        for _ in range(5_000):
            await channel.send(b"\0\0")
            most = max(most, len(channel._waiting))
        await until(lambda: channel.taken == channel.sent)
        await state.pool.current.retire(lambda: True, 0.0)
        return most, len(channel._arrivals)

    waiting, arrivals = asyncio.run(run())
    assert waiting <= MOST_WAITING_FRAMES
    assert arrivals == 1
