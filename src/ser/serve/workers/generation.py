"""The inference processes of one model: started and warmed together, ended together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ser.errors import SerError
from ser.io.audio.limits import Limits
from ser.serve.workers.child import Child
from ser.serve.workers.entry import infer
from ser.serve.workers.job import DEPTH, Job
from ser.serve.workers.wire import Gone

#: Seconds before a process that ended by itself is started again.
PAUSE = 0.2
log = logging.getLogger("ser.serve")


@dataclass(frozen=True)
class Served:
    """A model that can be served: where its bundle is, and who it is.

    version : in the registry, with its tags; None of a bundle that was named by its folder. facts :
    what a process that has loaded it says of it: architecture, classes, takes_enrolment, card.
    """

    bundle: Path
    bundle_sha256: str
    version: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        return list(self.facts["classes"])

    @property
    def takes_enrolment(self) -> bool:
        return bool(self.facts["takes_enrolment"])


class NotStarted(SerError):
    """The model's processes do not start."""


class Generation:
    """Processes that all serve one model; one that ends by itself is started again.

    on_free : is called when a process may have become free.
    """

    def __init__(
        self, served: Served, limits: Limits, workers: int, on_free: Callable[[], None]
    ) -> None:
        self.served, self._on_free = served, on_free
        self._job = Job(served.bundle, served.bundle_sha256, served.version, limits)
        self._workers = workers
        self._keeping: list[asyncio.Task[None]] = []
        self.children: list[Child] = []
        self.retired = False

    async def start(self) -> None:
        """Start all processes; returns when they are warm, raises NotStarted."""
        started = await asyncio.gather(
            *(self._started() for _ in range(self._workers)), return_exceptions=True
        )
        failed = [one for one in started if isinstance(one, BaseException)]
        self.children = [one for one in started if isinstance(one, Child)]
        if failed:
            self._end()
            raise failed[0]
        self._keeping = [asyncio.create_task(self._keep(i)) for i in range(self._workers)]

    def free_child(self) -> Child | None:
        """The process with the fewest questions, if it may have one more."""
        alive = [child for child in self.children if not child.died.is_set()]
        child = min(alive, key=lambda child: child.load, default=None)
        return child if child and child.load < DEPTH else None

    def child_for_measuring(self) -> Child | None:
        """A process that measures no part of a timeline, the one with the fewest questions."""
        able = [one for one in self.children if not one.died.is_set() and not one.measures]
        return min(able, key=lambda child: (child.load, child.streams), default=None)

    def child_for_stream(self) -> Child | None:
        """The process with the fewest streams."""
        alive = [child for child in self.children if not child.died.is_set()]
        return min(alive, key=lambda child: child.streams, default=None)

    async def retire(self, ended: Callable[[], bool], seconds: float) -> None:
        """Wait until nothing is asked of it any more, at most so long; then end its processes."""
        self.retired = True
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            if not any(child.load or child.streams for child in self.children) or ended():
                break
            await asyncio.sleep(0.1)
        self._end()

    def _end(self) -> None:
        self.retired = True
        for task in self._keeping:
            task.cancel()
        for child in self.children:
            child.end()

    async def _started(self) -> Child:
        child = Child(infer, self._job)
        try:
            first = await child.start()
        # The system's own errors where no process can be forked.
        except (Gone, OSError, EOFError) as error:
            raise NotStarted(
                "An inference process ended while it loaded the model; is there memory enough?"
            ) from error
        if "failed" in first:
            child.end()
            raise NotStarted(first["failed"])
        self.served = replace(self.served, facts=first)
        return child

    async def _keep(self, place: int) -> None:
        """Start a process again whenever it ends by itself."""
        while True:
            child = self.children[place]
            await child.died.wait()
            log.error("worker_died", extra={"fields": {"pid": child.pid}})
            child.end()
            await asyncio.sleep(PAUSE)
            with suppress(NotStarted):
                self.children[place] = await self._started()
                self._on_free()
