"""A clone with the whole platform and a receiver of notifications, and what is done there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile
import yaml

from benchmarks import page
from flows.processes import note, prefect_api
from flows.processes.environment import QUIET
from ser.bundle import load_bundle
from ser.client import Client
from ser.corpora.synthetic.speak import speak, utterances
from ser.io.tracking.registry import bundles, journal, versions
from ser.params import SyntheticParams
from ser.predictor import Predictor

CORPUS = "calls"
SR = 16_000
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
#: Seconds within which anything must happen, and in which nothing more may come.
PATIENCE, QUIET_SECONDS = 900.0, 4.0
#: Seconds in which a notification must come.
LATE = 30.0
#: Clips whose answers are compared, bit by bit.
CLIPS = 6


@dataclass
class Act:
    """One act: what came of it, who was told of what, and what is wrong with it."""

    HEADER = ("act", "journal", "champion", "told", "seconds", "as expected")
    what: str
    rows: list[str]
    champion: int | None
    told: list[str]
    seconds: float
    faults: list[str] = field(default_factory=list)

    def cells(self) -> list[object]:
        told = ", ".join(one.removeprefix("SER: ").removeprefix("model.") for one in self.told)
        found = "; ".join(self.faults) or "yes"
        champion = f"version {self.champion}" if self.champion else "none"
        return [self.what, ", ".join(self.rows) or "–", champion, told or "–", self.seconds, found]


@dataclass
class Place:
    """A clone, its receiver, and what was done there."""

    folder: Path
    events: list[Act] = field(default_factory=list)
    posted: list[dict[str, str]] = field(default_factory=list)
    compared: list[bool] = field(default_factory=list)
    hook: str = ""

    @property
    def root(self) -> Path:
        return self.folder / "project"

    def prepare(self, speakers: int, sentences: int) -> None:
        subprocess.run(["git", "clone", "--quiet", str(page.ROOT), str(self.root)], check=True)
        receiver = _receiver(self.posted)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        self.hook = f"http://127.0.0.1:{receiver.server_address[1]}/hook"
        plan = utterances(SyntheticParams(speakers=speakers, sentences=sentences), seed=7)
        recordings, rows = self.folder / CORPUS, []
        for number, utterance in enumerate(plan):
            file = f"{utterance.speaker}/{number:04d}.wav"
            (recordings / file).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(recordings / file, speak(utterance, sr=SR), SR, subtype="PCM_16")
            rows.append([file, utterance.emotion, utterance.speaker, utterance.sex])
        self.labels = pd.DataFrame(rows, columns=["file", "emotion", "speaker", "sex"])
        self.set(
            data__corpora=[CORPUS],
            model__name="lda",
            model__lda__select=5,
            augment__versions=0,
            abstention__max_novelty_percentile=None,
            stress__utterances=4,
            stress__families=["small"],
        )
        self.take_in(self.labels)

    def take_in(self, labels: pd.DataFrame) -> None:
        """Replace the corpus by one of these labels, by commands of docs/howto/own-corpus.md."""
        table = self.folder / CORPUS / "labels.csv"
        labels.to_csv(table, index=False)
        if (self.root / "data/raw" / CORPUS).exists():
            self.ser("corpus", "remove", CORPUS, "--force", "--yes")
        words = ("--name", CORPUS, "--table", str(table), "--language", "en")
        self.ser("corpus", "add", "folder", str(self.folder / CORPUS), *words)

    def set(self, **values: object) -> None:
        """`set(model__name="lda")` sets `model.name` in params.yaml."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for key, value in values.items():
            *sections, name = key.split("__")
            section = params
            for part in sections:
                section = section[part]
            section[name] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        source = f"{self.root / 'src'}{os.pathsep}{self.root}"
        given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        return {**given, **QUIET, "PATH": path, "PYTHONPATH": source}

    def ser(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ser.cli", *words],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"ser {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        print(done.stderr, end="", flush=True)
        return done.stdout

    def tick(self) -> str:
        """One run of the deployment, by the worker; its final state."""
        url = note.read(self.root).prefect_api
        (deployment,) = prefect_api.deployments(url)
        run = prefect_api.post(url, f"deployments/{deployment['id']}/create_flow_run", {})

        def ended() -> str | None:
            found = prefect_api.post(
                url, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}}
            )
            return found[0]["state_name"] if found[0]["state_type"] in FINAL else None

        return str(until(ended, "a flow run to end"))

    def act(
        self,
        what: str,
        do: Callable[[], object],
        *,
        rows: Sequence[str],
        champion: int | None,
        told: Sequence[str],
    ) -> None:
        """Do it, and hold what came of it against what is expected."""
        known, before = len(journal.rows(self.root)), len(self.posted)
        began = time.monotonic()
        do()
        seconds = time.monotonic() - began
        while len(self.posted) - before < len(told) and time.monotonic() - began < seconds + LATE:
            time.sleep(0.1)
        time.sleep(QUIET_SECONDS)
        new = [f"{row['event']} v{row['version']}" for row in journal.rows(self.root)[known:]]
        serving = versions.champion(self.root)
        found = Act(
            what,
            new,
            serving.version if serving else None,
            [one["subject"] for one in self.posted[before:]],
            seconds,
        )
        for name, is_, expected in (
            ("journal", found.rows, list(rows)),
            ("champion", found.champion, champion),
            ("told", sorted(found.told), sorted(f"SER: {one}" for one in told)),
        ):
            if is_ != expected:
                found.faults.append(f"{name}: expected {expected}")
        self.events.append(found)
        print(page.cell(found.cells()), flush=True)
        for one in self.posted[before:]:
            print(f"    {one['subject']} | {one['body']}", flush=True)

    def answers(self, version: int) -> list[object]:
        """Posteriors of the fixed clips: of the champion's bundle as it is stored, all bits, and of
        the running server, all digits, once it serves that version."""
        step = len(self.labels) // CLIPS
        clips = [self.folder / CORPUS / file for file in self.labels["file"][::step][:CLIPS]]
        stored = Predictor(load_bundle(bundles.fetch_bundle(self.root)))
        samples = [soundfile.read(clip, dtype="float32")[0] for clip in clips]
        bits = [stored.posteriors(y, sr=SR).tobytes() for y in samples]
        with Client(note.read(self.root).serve) as client:

            def follows() -> bool:
                return client.predict(clips[0]).model.version == version

            until(follows, f"the server to serve version {version}")
            served = [client.predict(clip).posteriors for clip in clips]
        if not all(served):
            raise SystemExit("The server abstains without posteriors: nothing can be compared.")
        return [*bits, *served]

    def compare(self, whose: str, before: list[object], version: int) -> None:
        """Hold the answers of `version`, which serves now, against those of before."""
        equal = self.answers(version) == before
        self.compared.append(equal)
        if not equal:
            self.events[-1].faults.append(f"its answers are not {whose}")

    def damage(self, how: str) -> None:
        """Flip a byte in the middle of the stored champion's largest file, or delete that file."""
        files = [path for path in bundles.fetch_bundle(self.root).rglob("*") if path.is_file()]
        weights = max(files, key=lambda path: path.stat().st_size)
        if how == "delete":
            weights.unlink()
            return
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 0xFF
        weights.write_bytes(content)


def _receiver(posted: list[dict[str, str]]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise SystemExit(f"Waited {PATIENCE:.0f} s for {what} in vain.")
