"""Parts of timelines, shared out to the processes that predict: one part for each at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from ser.serve.workers.child import Child
from ser.serve.workers.errors import Unanswerable
from ser.serve.workers.pool import NoModel, Pool
from ser.serve.workers.wire import Bytes, Gone, Header

#: Seconds before a process that was started anew is looked for again.
PAUSE = 0.1


class OtherModel(Exception):
    """Another model serves than the one that began."""


class Sharing:
    """What is measured gives way to predictions and streams: a process never has two parts.

    answer_seconds : in which a process must answer; one that does not is ended.
    """

    def __init__(self, pool: Pool, *, answer_seconds: float) -> None:
        self._pool, self._answer_seconds, self.workers = pool, answer_seconds, pool.workers
        self._places = asyncio.Semaphore(pool.workers)

    async def measure(
        self, work: Header, samples: Bytes, *, bundle_sha256: str
    ) -> list[dict[str, Any]]:
        """The answers to the windows of one piece of speech, by the model with this hash.

        Raises OtherModel where it serves no more, Unanswerable, NoModel.
        """
        async with self._places:
            for _ in range(2):
                child = await self._free_child(bundle_sha256)
                child.measures = True
                try:
                    async with asyncio.timeout(self._answer_seconds):
                        answer, _ = await child.ask({"op": "measure", **work}, samples)
                except Gone:
                    continue
                except TimeoutError:
                    # It hangs: whatever waits for it is told when it has ended.
                    child.kill()
                    continue
                finally:
                    child.measures = False
                if "error" in answer:
                    raise Unanswerable(**answer["error"])
                found: list[dict[str, Any]] = answer["answers"]
                return found
        raise Unanswerable("unfit_audio", "The recording ended the processes that read it.")

    async def _free_child(self, bundle_sha256: str) -> Child:
        while True:
            current = self._pool.current
            if current is None or self._pool.stopped:
                raise NoModel
            if current.served.bundle_sha256 != bundle_sha256:
                raise OtherModel
            if child := current.child_for_measuring():
                return child
            await asyncio.sleep(PAUSE)
