"""Live streams in real time: how long a result takes from the last sample of its stretch.

Run as a process of its own: it prints a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import uvloop
from websockets.asyncio.client import connect

from benchmarks.serving.load import percentiles

SR, FRAME = 16_000, 1_600
FRAME_SECONDS = FRAME / SR


class Listener:
    """One client: sends frames in real time, and times the results."""

    def __init__(self, url: str, y: np.ndarray, delay: float, warm_up: float) -> None:
        self.url, self.y, self.delay, self.warm_up = url, y, delay, warm_up
        self.sent: list[float] = []
        self.partial: list[float] = []
        self.final: list[float] = []
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        await asyncio.sleep(self.delay)
        async with connect(self.url, compression=None, max_queue=None) as socket:
            reading = asyncio.create_task(self._read(socket))
            begin = time.perf_counter()
            for number in range(self.y.size // FRAME):
                # A frame is there when its last sample was spoken.
                due = begin + (number + 1) * FRAME_SECONDS
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self.sent.append(time.perf_counter())
                await socket.send(self.y[number * FRAME : (number + 1) * FRAME].tobytes())
            await socket.send('{"type": "session.close"}')
            await reading

    async def _read(self, socket: Any) -> None:
        async for text in socket:
            now, message = time.perf_counter(), json.loads(text)
            self.counts[message["type"]] += 1
            if message["type"] == "session.closed":
                self.counts["dropped_ms"] += message["totals"].get("dropped_ms", 0)
            if message["type"] != "measurement.result":
                continue
            # The frame that holds its last sample; an end is known a frame of the detector later.
            frame = min((message["stop_sample"] - 1) // FRAME, len(self.sent) - 1)
            if (frame + 1) * FRAME_SECONDS < self.warm_up:
                continue
            own = self.final if message["trigger"] == "speech_ended" else self.partial
            own.append(now - self.sent[frame])


async def listen(url: str, y: np.ndarray, *, streams: int, seconds: float) -> dict[str, Any]:
    """`streams` clients with speech from different places of y."""
    rng = np.random.default_rng(7)
    size = round(seconds * SR)
    clients = [
        Listener(url, np.roll(y, -int(start))[:size], float(delay), warm_up=3.0)
        for start, delay in zip(
            rng.integers(0, y.size, streams), rng.uniform(0, 1, streams), strict=True
        )
    ]
    await asyncio.gather(*(client.run() for client in clients))
    used = resource.getrusage(resource.RUSAGE_SELF)
    counts: Counter[str] = sum((client.counts for client in clients), Counter())
    partial = [value for client in clients for value in client.partial]
    final = [value for client in clients for value in client.final]
    return {
        "partials": len(partial),
        "finals": len(final),
        "ms": percentiles(partial),
        "final_ms": percentiles(final),
        "dropped_ms": counts["dropped_ms"],
        "errors": counts["error"],
        "closed": counts["session.closed"],
        "own_cpu_seconds": used.ru_utime + used.ru_stime,
        "seconds": seconds + 1,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("speech", type=Path, help="a WAV file at 16 kHz, played in a circle")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    y, _ = soundfile.read(options.speech, dtype="int16")
    result = listen(options.url, y, streams=options.streams, seconds=options.seconds)
    print(json.dumps(uvloop.run(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
