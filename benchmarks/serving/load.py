"""A load generator for REST: open loop, so that a slow server does not slow the clients down.

Requests are due at fixed times; a request's latency counts from when it was due, whether or not a
connection was free. Run as a process of its own: it prints a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import uvloop


@dataclass
class Load:
    """rate : requests a second; None: closed loop, each connection one request after another.

    warm_up : seconds that do not count.
    """

    url: str
    bodies: list[bytes]
    content_type: str
    connections: int
    seconds: float
    rate: float | None = None
    warm_up: float = 2.0
    latencies: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    async def run(self) -> dict[str, Any]:
        target = urlsplit(self.url)
        host, port = target.hostname or "", target.port or 80
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: "
        )
        self._requests = [head.encode() + b"%d\r\n\r\n" % len(b) + b for b in self.bodies]
        self._due: deque[float] = deque()
        self._arrived = asyncio.Condition()
        self._is_over = False
        self._begin = time.perf_counter()
        self._counted_from = self._begin + self.warm_up
        self._end = self._counted_from + self.seconds
        clients = [self._client(host, port, i) for i in range(self.connections)]
        tasks = [asyncio.create_task(client) for client in clients]
        if self.rate is not None:
            await self._schedule()
        await asyncio.gather(*tasks)
        return self._result()

    async def _schedule(self) -> None:
        assert self.rate is not None
        due = self._begin
        while due < self._end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            async with self._arrived:
                self._due.append(due)
                self._arrived.notify()
            due += 1 / self.rate
        async with self._arrived:
            self._is_over = True
            self._arrived.notify_all()

    async def _next(self) -> float | None:
        if self.rate is None:
            now = time.perf_counter()
            return now if now < self._end else None
        async with self._arrived:
            while not self._due:
                if self._is_over:
                    return None
                await self._arrived.wait()
            return self._due.popleft()

    async def _client(self, host: str, port: int, number: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        turn = number
        while (due := await self._next()) is not None:
            try:
                sent = time.perf_counter()
                writer.write(self._requests[turn % len(self._requests)])
                status, closes = await _response(reader)
            except (OSError, asyncio.IncompleteReadError):
                status, closes = "broken", True
            turn += 1
            now = time.perf_counter()
            if due >= self._counted_from:
                self.statuses[status] += 1
                if status == "200":
                    self.latencies.append(now - due)
                elif status == "429":
                    self.rejected.append(now - sent)
            if closes:
                writer.close()
                reader, writer = await asyncio.open_connection(host, port)
        writer.close()

    def _result(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "statuses": dict(self.statuses),
            "per_second": self.statuses["200"] / self.seconds,
            "ms": percentiles(self.latencies),
            "rejected_ms": percentiles(self.rejected),
            "own_cpu_seconds": used.ru_utime + used.ru_stime,
            "seconds": self.seconds + self.warm_up,
        }


async def _response(reader: asyncio.StreamReader) -> tuple[str, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    start = head.index(b"content-length:") + 15
    await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
    return head[9:12].decode(), b"connection: close" in head


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the largest, in milliseconds."""
    if not seconds:
        return {}
    p50, p99, most = np.percentile(seconds, [50, 99, 100])
    return {"p50": 1000 * p50, "p99": 1000 * p99, "max": 1000 * most}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("bodies", type=Path, help="a folder: each file is a request's body")
    parser.add_argument("--content-type", default="audio/wav")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, help="requests a second; default: closed loop")
    options = parser.parse_args()
    load = Load(
        options.url,
        [path.read_bytes() for path in sorted(options.bodies.iterdir())],
        options.content_type,
        options.connections,
        options.seconds,
        options.rate,
    )
    print(json.dumps(uvloop.run(load.run())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
