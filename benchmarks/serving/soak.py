"""An hour of load on `ser serve`: recordings, hostile files, live streams; memory, descriptors.

REST in open loop at a share of the capacity that is measured first, a tenth of it hostile files;
beside it live streams. Memory (USS of all processes) and open descriptors are noted all along;
their slope is a line fitted after the warm-up. At the end, slow clients: half-sent uploads and
silent sockets, and what others wait meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import soundfile
import uvloop

from benchmarks import page
from benchmarks.serving.__main__ import prepare
from benchmarks.serving.contender import Contender, ours
from benchmarks.serving.live import listen
from benchmarks.serving.load import Load
from tests.support.hostile import hostile_files

NOTE_SECONDS, SLOW_SECONDS = 10.0, 20.0
HALF_SENT, SILENT = 500, 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.serving.soak", description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's WAV files")
    parser.add_argument("--bundle", type=Path, default=page.ROOT / "models" / "bundle")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--share", type=float, default=0.7, help="of the capacity (default: 0.7)")
    parser.add_argument("--streams", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ser-soak-") as name:
        folder = Path(name)
        clips, speech = folder / "clips", folder / "speech.wav"
        prepare(options.folder, clips, speech)
        with ours(options.bundle, clips, folder / "ours") as server:
            soak = Soak(server, clips, speech, options.minutes * 60, options.streams)
            body = uvloop.run(soak.run(options.share))
            log = (folder / "ours" / "log").read_text()
    faults = [
        line for line in log.splitlines() if '"level": "error"' in line or "Traceback" in line
    ]
    page.write(
        "serving.soak",
        title="The server for an hour",
        body=f"{body}\n\nErrors in its log: {len(faults)}.{''.join(f'`{f}`' for f in faults[:3])}",
    )
    return 0


class Soak:
    def __init__(
        self, server: Contender, clips: Path, speech: Path, seconds: float, streams: int
    ) -> None:
        self.server, self.seconds, self.streams = server, seconds, streams
        self.good = [path.read_bytes() for path in sorted(clips.iterdir())]
        self.y, _ = soundfile.read(speech, dtype="int16")
        self.notes: list[tuple[float, float, int]] = []

    async def run(self, share: float) -> str:
        capacity = (await Load(self.server.url, self.good, "audio/wav", 16, 15.0).run())[
            "per_second"
        ]
        rate = share * capacity
        hostile = list(hostile_files().values())
        repeats = -(-9 * len(hostile) // len(self.good))
        bodies = [*self.good * repeats, *hostile]
        order = np.random.default_rng(7).permutation(len(bodies))
        mixed = [bodies[i] for i in order]
        load = Load(self.server.url, mixed, "audio/wav", 64, self.seconds, rate)
        noting = asyncio.create_task(self._note())
        found, live = await asyncio.gather(load.run(), self._live())
        noting.cancel()
        slow = await self._slow(0.3 * capacity)
        share_hostile = len(hostile) / len(bodies)
        return (
            f"Capacity {capacity:.0f} answers a second; {rate:.0f} requests a second "
            f"for {self.seconds / 60:.0f} min, {share_hostile:.0%} of them hostile; "
            f"{self.streams} live streams beside them.\n\n"
            f"Status: {dict(found['statuses'])}. Of the 200s p50 {found['ms']['p50']:.1f} ms, p99 "
            f"{found['ms']['p99']:.0f} ms. Live: {live}.\n\n{self._slopes()}\n\n{slow}"
        )

    async def _live(self) -> str:
        """Sessions of a minute, one after another, as long as the load lasts."""
        counts: Counter[str] = Counter()
        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 5:
            url = self.server.url.replace("http:", "ws:").replace("/v1/predict", "/v1/stream")
            found = await listen(url, self.y, streams=self.streams, seconds=min(60.0, left))
            for name in ("partials", "finals", "errors", "dropped_ms", "closed"):
                counts[name] += found[name]
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())

    async def _note(self) -> None:
        began = time.monotonic()
        while True:
            processes = [self.server.process, *self.server.process.children(recursive=True)]
            descriptors = 0
            for process in processes:
                with suppress(psutil.Error):
                    descriptors += process.num_fds()
            self.notes.append((time.monotonic() - began, self.server.own_memory(), descriptors))
            await asyncio.sleep(NOTE_SECONDS)

    def _slopes(self) -> str:
        t, memory, descriptors = np.array(self.notes).T
        late = t > min(600.0, t[-1] / 3)
        slope = np.polyfit(t[late], memory[late], 1)[0] * 3600
        more = np.polyfit(t[late], descriptors[late], 1)[0] * 3600
        rows = [
            [f"{t[i] / 60:.0f}", float(memory[i]), int(descriptors[i])]
            for i in np.linspace(0, len(t) - 1, 7).round().astype(int)
        ]
        return (
            f"Memory grows by {slope:+.2f} MiB an hour, descriptors by {more:+.1f} (a line through "
            f"what was noted after {t[late][0] / 60:.0f} min).\n\n"
            + page.table(["minute", "memory, MiB", "descriptors"], rows)
        )

    async def _slow(self, rate: float) -> str:
        """What others wait with and without slow clients."""

        async def others() -> dict[str, float]:
            load = Load(self.server.url, self.good, "audio/wav", 16, SLOW_SECONDS, rate)
            return dict((await load.run())["ms"])

        alone = await others()
        target = urlsplit(self.server.url)
        where = (target.hostname or "", target.port or 80)
        writers, closed = [], []
        for number in range(HALF_SENT + SILENT):
            reader, writer = await asyncio.open_connection(*where)
            closed.append(asyncio.create_task(reader.read()))
            if number < HALF_SENT:
                writer.write(
                    f"POST /v1/predict HTTP/1.1\r\nHost: {where[0]}:{where[1]}\r\n"
                    "Content-Type: audio/wav\r\nContent-Length: 96044\r\n\r\nRIFF".encode()
                )
            writers.append(writer)
        opened = time.monotonic()
        beside = await others()
        _, open_still = await asyncio.wait(closed, timeout=60)
        waited, left = time.monotonic() - opened, len(open_still)
        for writer in writers:
            writer.close()
        return (
            f"Slow clients: {HALF_SENT} half-sent uploads and {SILENT} silent sockets, all closed "
            f"but {left} after {waited:.0f} s. Others wait p50 {beside['p50']:.1f} ms, p99 "
            f"{beside['p99']:.1f} ms; without them {alone['p50']:.1f} and {alone['p99']:.1f} ms."
        )


if __name__ == "__main__":
    sys.exit(main())
