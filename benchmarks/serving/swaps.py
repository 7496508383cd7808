"""A hundred champions, one after another, under load: REST requests and live streams.

Each version is promoted as the flow does it; the next follows when the server answers with it.
Every answer must be a 200 of one model: its version and its bundle's hash belong together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
import uvloop
import yaml

from benchmarks import page
from benchmarks.serving.__main__ import prepare
from benchmarks.serving.contender import champion
from benchmarks.serving.live import listen
from tests.support.registry import promote, register_versions

PATIENCE = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.serving.swaps", description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's WAV files")
    parser.add_argument("--bundle", type=Path, default=page.ROOT / "models" / "bundle")
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--streams", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ser-swaps-") as name:
        folder = Path(name)
        clips, speech = folder / "clips", folder / "speech.wav"
        prepare(options.folder, clips, speech)
        root = folder / "project"
        root.mkdir()
        params = yaml.safe_load((page.ROOT / "params.yaml").read_text())
        params["serve"]["poll_seconds"] = 0.2
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        (root / "dvc.yaml").write_text("stages: {}\n")
        hashes = register_versions(root, options.bundle, range(1, 4))
        promote(root, 1)
        with champion(root) as server:
            swaps = Swaps(server.url, root, hashes)
            body = uvloop.run(swaps.run(clips, speech, options))
            body += f"\n\nAll processes of the server together have {server.memory():.0f} MiB."
    page.write("serving.swaps", title="A hundred champions under load", body=body)
    return int(bool(swaps.wrong))


class Swaps:
    """hashes : of the bundles of versions 1, 2, 3."""

    def __init__(self, url: str, root: Path, hashes: list[str]) -> None:
        self.url, self.root, self.hashes = url, root, hashes
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.over = False

    async def run(self, clips: Path, speech: Path, options: argparse.Namespace) -> str:
        bodies = [path.read_bytes() for path in sorted(clips.iterdir())]
        y, _ = soundfile.read(speech, dtype="int16")
        clients = [asyncio.create_task(self._ask(bodies)) for _ in range(options.clients)]
        live = asyncio.create_task(self._listen(y, options.streams))
        seconds = []
        for number in range(options.swaps):
            wanted = 2 + number % 2
            began = time.monotonic()
            await asyncio.to_thread(promote, self.root, wanted)
            await self._until_serves(wanted)
            seconds.append(time.monotonic() - began)
        self.over = True
        await asyncio.gather(*clients)
        counts = await live
        return (
            f"{options.swaps} swaps, {np.median(seconds):.1f} s each (median, from the promotion "
            f"to the first answer; at most {max(seconds):.1f} s). {self.statuses.total():,} "
            f"requests: {dict(self.statuses)}, by version {dict(sorted(self.versions.items()))}; "
            f"wrong answers: {len(self.wrong)}. {options.streams} live streams: {counts}."
        )

    async def _ask(self, bodies: list[bytes]) -> None:
        headers = {"content-type": "audio/wav"}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            turn = 0
            while not self.over:
                turn += 1
                body = bodies[turn % len(bodies)]
                answer = await client.post(self.url, content=body, headers=headers)
                self.statuses[answer.status_code] += 1
                if answer.status_code != 200:
                    self.wrong.append(answer.text)
                    continue
                model: dict[str, Any] = json.loads(answer.content)["model"]
                self.versions[model["version"]] += 1
                if self.hashes[model["version"] - 1] != model["bundle_sha256"]:
                    self.wrong.append(answer.text)

    async def _listen(self, y: np.ndarray, streams: int) -> str:
        counts: Counter[str] = Counter()
        url = self.url.replace("http:", "ws:").replace("/v1/predict", "/v1/stream")
        while not self.over:
            found = await listen(url, y, streams=streams, seconds=30)
            for name in ("partials", "finals", "errors", "closed"):
                counts[name] += found[name]
        if counts["errors"]:
            self.wrong.append(f"{counts['errors']} errors of live streams")
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())

    async def _until_serves(self, version: int) -> None:
        ready = self.url.replace("/v1/predict", "/health/ready")
        deadline = time.monotonic() + PATIENCE
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            while (await client.get(ready)).json()["model"]["version"] != version:
                if time.monotonic() > deadline:
                    raise SystemExit(f"Version {version} does not serve after {PATIENCE:g} s.")
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
