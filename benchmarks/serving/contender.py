"""Servers of one bundle: ours, MLflow's and a plain LitServe, as processes with their CPU time."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import page
from flows.processes.server import free_port
from ser.bundle import bundle_sha256
from ser.io.web.quiet import QUIET

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
START_SECONDS = 120.0

LITSERVE = """
import io, sys
from pathlib import Path
import litserve, soundfile
from fastapi import Request
from ser.bundle import load_bundle
from ser.predictor import Predictor

class Emotions(litserve.LitAPI):
    def setup(self, device):
        self.predictor = Predictor(load_bundle(Path(sys.argv[1])))
    def decode_request(self, request: Request):
        return request["file"].file.read()
    def predict(self, data):
        y, sr = soundfile.read(io.BytesIO(data), dtype="float32")
        return self.predictor.predict(y, sr=sr)
    def encode_response(self, answer):
        return {"label": answer.emotion, "posteriors": answer.posteriors}

if __name__ == "__main__":
    server = litserve.LitServer(Emotions(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
"""


@dataclass(frozen=True)
class Contender:
    """A server that runs. url : what predictions are asked of."""

    process: psutil.Process
    url: str
    content_type: str
    bodies: Path

    def cpu_seconds(self) -> float:
        """Of the server and all that it has started."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> float:
        """MiB that it and all that it has started have for themselves, shared ones in part."""
        total = 0
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total / 2**20

    def own_memory(self) -> float:
        """MiB that no other process shares: what libraries have in common moves as others end."""
        total = 0
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_full_info().uss
        return total / 2**20


@contextmanager
def ours(bundle: Path, clips: Path, folder: Path) -> Iterator[Contender]:
    """`ser serve` with the parameters of a new project."""
    folder.mkdir()
    (folder / "params.yaml").write_text((page.ROOT / "params.yaml").read_text())
    (folder / "dvc.yaml").write_text("stages: {}\n")
    port = free_port()
    command = ["ser.cli", "serve", "--model", str(bundle.resolve()), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with _started(["-m", *command], folder, f"{url}/health/ready") as process:
        yield Contender(process, f"{url}/v1/predict", "audio/wav", clips)


@contextmanager
def champion(root: Path) -> Iterator[Contender]:
    """`ser serve` of a project's champion."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _started(
        ["-m", "ser.cli", "serve", "--port", str(port)], root, f"{url}/health/ready"
    ) as process:
        yield Contender(process, f"{url}/v1/predict", "audio/wav", root)


@contextmanager
def mlflow(bundle: Path, clips: Path, folder: Path) -> Iterator[Contender]:
    """`mlflow models serve` with a worker for each core; clips as base64 in JSON."""
    import mlflow.pyfunc

    folder.mkdir()
    script = page.ROOT / "src/ser/io/tracking/registry/pyfunc_model.py"
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=str(script),
        artifacts={"bundle": str(bundle)},
        model_config={"bundle_sha256": bundle_sha256(bundle)},
        pip_requirements=["numpy"],
    )
    bodies = folder / "bodies"
    bodies.mkdir()
    for path in sorted(clips.iterdir()):
        rows = {"dataframe_records": [{"audio": base64.b64encode(path.read_bytes()).decode()}]}
        (bodies / f"{path.stem}.json").write_text(json.dumps(rows))
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager", "local"]
    command += ["-p", str(port), "-w", str(os.cpu_count())]
    with _started(["-m", *command], folder, f"http://127.0.0.1:{port}/ping") as process:
        url = f"http://127.0.0.1:{port}/invocations"
        yield Contender(process, url, "application/json", bodies)


@contextmanager
def litserve(bundle: Path, clips: Path, folder: Path) -> Iterator[Contender]:
    """A LitServe of twenty lines, with a worker for each core; clips in a form."""
    folder.mkdir()
    (folder / "served.py").write_text(LITSERVE)
    bodies, boundary = folder / "bodies", "clip"
    bodies.mkdir()
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    for path in sorted(clips.iterdir()):
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        (bodies / path.stem).write_bytes(body)
    port = free_port()
    command = ["served.py", str(bundle.resolve()), str(port)]
    with _started(command, folder, f"http://127.0.0.1:{port}/health") as process:
        form = f"multipart/form-data; boundary={boundary}"
        yield Contender(process, f"http://127.0.0.1:{port}/predict", form, bodies)


@contextmanager
def _started(command: Sequence[str], folder: Path, health: str) -> Iterator[psutil.Process]:
    source = f"{page.ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    env = {**os.environ, **QUIET, **THREADS, "PYTHONPATH": source}
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(
                    f"{command} did not start:\n{(folder / 'log').read_text()[-2000:]}"
                )
            time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except (OSError, urllib.error.HTTPError):
        return False
    return True
