"""`ser serve` under load; beside it the same bundle behind MLflow's server and a plain LitServe.

REST in closed loop (one client, sixteen), in open loop at a fixed rate and at five times what the
server can answer; live streams in real time. The load generator is a process of its own on the same
cores: its share is stated. LitServe takes part where it is installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks import page
from benchmarks.serving.contender import Contender, litserve, mlflow, ours
from ser.core.utterance.formats import is_audio
from ser.core.utterance.waveform import resample
from ser.io.audio.read import load_mono

SR, CLIPS = 16_000, 64
#: Seconds of an utterance and of the pause behind it, in the live streams.
UTTERANCE_SECONDS, PAUSE_SECONDS = 8.0, 1.2
Start = Callable[[Path, Path, Path], AbstractContextManager[Contender]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings, e.g. RAVDESS's WAV files")
    parser.add_argument("--bundle", type=Path, default=page.ROOT / "models" / "bundle")
    parser.add_argument("--seconds", type=float, default=20, help="of each load (default: 20)")
    parser.add_argument("--rate", type=float, default=150, help="requests a second (default: 150)")
    parser.add_argument("--streams", type=int, nargs="*", default=[32, 64])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ser-serving-") as name:
        folder = Path(name)
        clips, speech = folder / "clips", folder / "speech.wav"
        prepare(options.folder, clips, speech)
        rivals: dict[str, Start] = {"`mlflow models serve`": mlflow}
        if find_spec("litserve"):
            rivals["LitServe"] = litserve
        rest: list[list[Any]] = []
        with ours(options.bundle, clips, folder / "ours") as server:
            measure = Measure(server, options.seconds)
            one = measure.rest("`ser serve`, 1 client", rest, connections=1)
            peak = measure.rest("`ser serve`, 16 clients", rest, connections=16)
            measure.rest(
                f"`ser serve`, 16 clients, {options.rate:g} a second due",
                rest,
                connections=16,
                rate=options.rate,
            )
            overload = measure.rest(
                f"`ser serve`, {5 * peak['per_second']:.0f} a second due",
                rest,
                connections=256,
                rate=5 * peak["per_second"],
            )
            memory = server.memory()
            live = [measure.live(speech, streams=n) for n in options.streams]
        for rival, start in rivals.items():
            with start(options.bundle, clips, folder / start.__name__) as server:
                measure = Measure(server, options.seconds)
                measure.rest(f"{rival}, 1 client", rest, connections=1)
                measure.rest(f"{rival}, 16 clients", rest, connections=16)
    share = overload["per_cpu_second"] / peak["per_cpu_second"]
    refusal = {"p50": float("nan"), "p99": float("nan"), **overload["rejected_ms"]}
    page.write(
        "serving",
        title="The server under load",
        body=f"""
Clips of 3 s, 16 kHz, 16-bit WAV; {options.seconds:g} s of each load after a warm-up of 2 s.
Requests that are *due* are sent in open loop: a latency counts from when its request was due. The
others are in closed loop. `ser serve` has {memory:.0f} MiB, all processes together.

{page.table(REST, rest)}

One client waits {one["ms"]["p50"]:.1f} ms (p50). At five times the capacity a refusal takes
{refusal["p50"]:.1f} ms (p50), {refusal["p99"]:.1f} ms (p99), and a CPU second of the server
gives {share:.0%} of the answers that it gives at the peak.

Live streams in real time, from the last sample of a stretch to its result; utterances of
{UTTERANCE_SECONDS:g} s.

{page.table(LIVE, live)}
""",
    )
    return 0


REST = (
    *("", "answers a second", "p50 ms", "p99 ms", "refused", "other errors"),
    *("answers a CPU second", "cores: server", "cores: load generator"),
)
LIVE = (
    *("streams", "partials", "p50 ms", "p99 ms", "finals", "p50 ms", "p99 ms", "dropped ms"),
    *("errors", "cores: server", "cores: load generator"),
)


class Measure:
    """Loads one server."""

    def __init__(self, server: Contender, seconds: float) -> None:
        self.server, self.seconds = server, seconds

    def rest(
        self, name: str, rows: list[list[Any]], *, connections: int, rate: float | None = None
    ) -> dict[str, Any]:
        command = ["load", self.server.url, str(self.server.bodies)]
        command += ["--content-type", self.server.content_type, "--seconds", str(self.seconds)]
        command += ["--connections", str(connections)]
        command += ["--rate", str(rate)] if rate else []
        found, cpu = self._run(command)
        statuses = found["statuses"]
        answered, refused = statuses.get("200", 0), statuses.get("429", 0)
        # The warm-up has its share of the CPU time.
        found["per_cpu_second"] = found["per_second"] * found["seconds"] / cpu
        rows.append(
            [
                name,
                found["per_second"],
                found["ms"].get("p50", "-"),
                found["ms"].get("p99", "-"),
                refused,
                sum(statuses.values()) - answered - refused,
                found["per_cpu_second"],
                cpu / found["seconds"],
                found["own_cpu_seconds"] / found["seconds"],
            ]
        )
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
        return found

    def live(self, speech: Path, *, streams: int) -> list[Any]:
        url = self.server.url.replace("http:", "ws:").replace("/v1/predict", "/v1/stream")
        seconds = ["--seconds", str(max(self.seconds, 20))]
        found, cpu = self._run(["live", url, str(speech), "--streams", str(streams), *seconds])
        row = [
            *(streams, found["partials"], found["ms"]["p50"], found["ms"]["p99"]),
            *(found["finals"], found["final_ms"]["p50"], found["final_ms"]["p99"]),
            *(found["dropped_ms"], found["errors"]),
            *(cpu / found["seconds"], found["own_cpu_seconds"] / found["seconds"]),
        ]
        print(*row, sep="  ", file=sys.stderr, flush=True)
        return row

    def _run(self, command: list[str]) -> tuple[dict[str, Any], float]:
        before = self.server.cpu_seconds()
        module = f"benchmarks.serving.{command[0]}"
        ended = subprocess.run(
            [sys.executable, "-m", module, *command[1:]], cwd=page.ROOT, capture_output=True
        )
        if ended.returncode:
            raise SystemExit(ended.stderr.decode())
        return json.loads(ended.stdout), self.server.cpu_seconds() - before


def prepare(recordings: Path, clips: Path, speech: Path) -> None:
    """Clips of 3 s, and minutes of speech in utterances, of the recordings in a folder."""
    files = [path for path in sorted(recordings.rglob("*")) if is_audio(path)]
    if not files:
        raise SystemExit(f"{recordings} holds no recordings.")
    rng = np.random.default_rng(7)
    chosen = [files[i] for i in rng.permutation(len(files))[: 2 * CLIPS]]
    loaded = [load_mono(path) for path in chosen]
    y = np.concatenate([resample(y, sr_in=sr, sr_out=SR) for y, sr in loaded])
    clips.mkdir()
    size = 3 * SR
    for number in range(CLIPS):
        part = np.take(y, range(number * size, (number + 1) * size), mode="wrap")
        soundfile.write(clips / f"{number:03d}.wav", part, SR, subtype="PCM_16")
    length, pause = round(UTTERANCE_SECONDS * SR), np.zeros(round(PAUSE_SECONDS * SR), y.dtype)
    parts = [np.append(y[i : i + length], pause) for i in range(0, y.size - length, length)]
    soundfile.write(speech, np.concatenate(parts), SR, subtype="PCM_16")


if __name__ == "__main__":
    sys.exit(main())
